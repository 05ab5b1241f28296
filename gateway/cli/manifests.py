"""The manifest of a version, also of one that has none in its registry, as in MLflow."""

from typing import NamedTuple

from gateway.execution.checking.adopt import advised, as_new
from gateway.execution.checking.files import fetched_files
from gateway.execution.checking.messages import ToCheck
from gateway.execution.checking.process import check_in_process
from gateway.execution.load_options import load_options
from gateway.settings import Settings
from registry_sync.copy import copy_folder
from registry_sync.copy.names import Names
from registry_sync.errors import NoManifest, RegistryUnavailable, UnknownModel
from registry_sync.registries import Details, Registry
from registry_sync.registries.texts import read_manifest
from runtimes.errors import ModelRefused
from runtimes.manifest import Manifest
from runtimes.manifest_text import parse_manifest

NOT_MADE = "No manifest was made of it yet; the gateway makes one before it serves the version."


class KnownManifest(NamedTuple):
    """The manifest of a version, or None and why there is none."""

    manifest: Manifest | None
    reason: str = ""


def find_manifest(registry: Registry, settings: Settings, model: str, version: str, details: Details) -> KnownManifest:
    """Return the manifest that the registry has, or else the one that the gateway of this home has made.

    Raises:
        RegistryUnavailable: the registry cannot be read.
    """
    try:
        return KnownManifest(registry.manifest(model, version))
    except NoManifest:
        return _made_by_gateway(settings, model, version, details)
    except (ModelRefused, UnknownModel) as error:
        return KnownManifest(None, str(error))


def make_manifest(settings: Settings, model: str, version: str) -> Manifest:
    """Return the manifest that a gateway would make for a version that has none in its registry. This takes seconds.

    Raises:
        ModelRefused: it cannot be made. The sentence says why.
        RegistryError: the files cannot be read.
    """
    with fetched_files(settings.registry, model, version) as files:
        checked = check_in_process(ToCheck(as_new(f"{model}:{version}", files), load_options(settings)), lambda _: None)
    if checked.result is None:
        raise ModelRefused(advised(checked.steps[-1]))
    return parse_manifest(checked.result.manifest)


def has_manifest(registry: Registry, model: str, version: str) -> bool:
    """Return True unless a version is there and has no manifest.

    Raises:
        UnknownModel, ModelRefused, RegistryUnavailable: there is no such version, or its manifest cannot be read.
    """
    try:
        registry.manifest(model, version)
    except NoManifest:
        return False
    return True


def _made_by_gateway(settings: Settings, model: str, version: str, details: Details) -> KnownManifest:
    known = Names(copy_folder(settings.home, settings.registry)).model(model)
    copied = None if known is None else known.versions.get(version)
    if copied is None or (copied.details.source, copied.details.run_id) != (details.source, details.run_id):
        return KnownManifest(None, NOT_MADE)  # it was deleted and registered anew, or was never copied
    if not copied.manifest:
        return KnownManifest(None, copied.trouble or NOT_MADE)
    try:
        return KnownManifest(read_manifest(copied.manifest))
    except (ModelRefused, RegistryUnavailable):  # another release of the gateway has written it
        return KnownManifest(None, NOT_MADE)
