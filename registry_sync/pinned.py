"""Loads one version by itself, for a process that serves nothing else. Acts."""

from registry_sync.catalogue import Catalogue, Version, VersionKey, VersionState
from registry_sync.open import open_registry
from router.spec.spec import ArmRef
from runtimes.errors import ModelRefused
from runtimes.load import LoadOptions


def load_pinned(registry: str, wanted: VersionKey, options: LoadOptions) -> Version:
    """The version, READY, with its runtime. `registry` is the setting of that name.

    Raises:
        UnknownModel, RegistryUnavailable: it cannot be had.
        ModelRefused: the registry has another artifact under its name, or it cannot be loaded.
    """
    catalogue = Catalogue(open_registry(registry), options)
    found, manifest = catalogue.resolve(ArmRef(wanted.model, version=wanted.version))
    if found != wanted:
        raise ModelRefused(f"The registry holds another artifact as {wanted} than the one that is wanted.")
    version = catalogue.load(found, manifest)
    if version.state is not VersionState.READY:
        raise ModelRefused(version.reason)
    return version
