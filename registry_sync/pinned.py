"""Load one version by itself, for a process that serves nothing else."""

from registry_sync.catalogue import Catalogue
from registry_sync.open import open_registry
from registry_sync.version import Version, VersionKey, VersionState
from router.spec.spec import ArmRef
from runtimes.errors import ModelRefused
from runtimes.load import load
from runtimes.load_options import LoadOptions
from runtimes.manifest import Signature


def load_pinned(
    registry: str,
    pinned: VersionKey,
    options: LoadOptions,
    seen: Signature | None = None,
) -> Version:
    """Return the version, READY, with its runtime. `registry` is the setting of that name.

    `seen` is the signature behind which the version runs, if that is not its own.

    Raises:
        UnknownModel, RegistryUnavailable: the version cannot be fetched.
        ModelRefused: the registry has another artifact under its name, or the version cannot be loaded.
    """
    opened = open_registry(registry)
    catalogue = Catalogue(opened, options)
    found, manifest = catalogue.resolve(ArmRef(pinned.model, version=pinned.version))
    if found != pinned:
        raise ModelRefused(f"The registry holds another artifact as {pinned} than the one that is wanted.")
    files = opened.fetch(pinned.model, pinned.version, manifest)
    try:
        runtime = load(files, manifest, options)
    except ModelRefused as error:
        raise ModelRefused(f"{pinned}: {error}") from error
    except Exception as error:  # any fault that foreign bytes cause concerns this version alone
        raise ModelRefused(f"{pinned}: cannot be loaded: {error!r}.") from error
    version = Version(found, manifest, VersionState.READY, runtime=runtime)
    return version if seen is None else version.seen_as(seen)
