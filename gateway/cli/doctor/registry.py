"""The registry: does it answer, and are its models there."""

import time
from collections.abc import Iterator

from gateway.cli.doctor.finding import Finding, fault, ok, warning
from gateway.settings import Settings
from registry_sync.errors import RegistryError
from registry_sync.open import open_registry

_SUBJECT = "registry"


def check_registry(settings: Settings) -> Iterator[Finding]:
    """Look at the registry that the settings name."""
    try:
        registry = open_registry(settings.registry)
        began_s = time.perf_counter()
        models = registry.models()
        taken_s = time.perf_counter() - began_s
    except (RegistryError, OSError) as error:
        yield fault(_SUBJECT, str(error), "Correct POINTSMAN_REGISTRY, or what it needs to be read.")
        return
    if not models:
        yield warning(_SUBJECT, f"{settings.registry} has no model.", "Publish one: pointsman models add.")
        return
    yield ok(_SUBJECT, f"It has {len(models)} models; the list took {1000 * taken_s:.0f} ms.")
