"""Load one version by itself, for a process that serves nothing else."""

from collections.abc import Callable

from msgspec import structs

from registry_sync.catalogue import Catalogue
from registry_sync.open import open_registry, open_remote
from registry_sync.version import Version, VersionKey, VersionState
from router.spec.spec import ArmRef
from runtimes.errors import ModelRefused
from runtimes.load import load
from runtimes.load_options import LoadOptions
from runtimes.manifest import Files, Manifest, Signature


def load_pinned(
    registry: str,
    pinned: VersionKey,
    options: LoadOptions,
    seen: Signature | None = None,
) -> Version:
    """Return the version, READY, with its runtime. `registry` is what `open_registry` opens.

    `seen` is the signature behind which the version runs, if that is not its own.

    Raises:
        UnknownModel, RegistryUnavailable: the version cannot be fetched.
        ModelRefused: the registry has another artifact under its name, or the version cannot be loaded.
    """
    opened = open_registry(registry)
    found, manifest = Catalogue(opened, options).resolve(ArmRef(pinned.model, version=pinned.version))
    _require(pinned, found)
    files = opened.fetch(pinned.model, pinned.version, manifest)
    return _load(files, manifest, options, pinned, seen)


def load_given(
    registry: str,
    pinned: VersionKey,
    manifest: Manifest,
    options: LoadOptions,
    seen: Signature | None,
    fetched: Callable[[], None],
) -> Version:
    """Return a version of a remote registry, as `load_pinned` does, with the manifest that the caller has.

    So it works on machines that have no copy of the registry, and if the registry holds no manifests. Golden requests
    that were made beside a copy are left out.
    """
    _require(pinned, VersionKey(pinned.model, pinned.version, manifest.digest))
    opened = open_remote(registry)
    there = opened.files(pinned.model, pinned.version)
    if manifest.golden and manifest.golden not in there:
        files = tuple(each for each in manifest.files if each.file != manifest.golden)
        manifest = structs.replace(manifest, golden="", files=files)
    content = opened.fetch(pinned.model, pinned.version, manifest)
    fetched()
    return _load(content, manifest, options, pinned, seen)


def _require(pinned: VersionKey, found: VersionKey) -> None:
    if found != pinned:
        raise ModelRefused(f"The registry holds another artifact as {pinned} than the one that is wanted.")


def _load(
    files: Files, manifest: Manifest, options: LoadOptions, pinned: VersionKey, seen: Signature | None
) -> Version:
    try:
        runtime = load(files, manifest, options)
    except ModelRefused as error:
        raise ModelRefused(f"{pinned}: {error}") from error
    except Exception as error:  # any fault that foreign bytes cause concerns this version alone
        raise ModelRefused(f"{pinned}: cannot be loaded: {error!r}.") from error
    version = Version(pinned, manifest, VersionState.READY, runtime=runtime)
    return version if seen is None else version.seen_as(seen)
