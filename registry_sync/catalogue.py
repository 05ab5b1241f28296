"""The versions in this process: READY with a runtime, or QUARANTINED with a reason.

A version is identified by model, version and the sha256 that its manifest pins. A version whose manifest pins another
sha256 is another version. A quarantined version is tried again after 30 seconds, when its manifest changes, or when an
operator asks for it. Versions are loaded in the background: `load` waits for that, `loaded` does not.
"""

import math
import threading
import time
from collections.abc import Mapping
from functools import partial

from registry_sync.background import Background, Pending, Start, at_once
from registry_sync.copy.local_copy import LocalCopy
from registry_sync.errors import RegistryUnavailable, UnknownModel
from registry_sync.listed import listed
from registry_sync.loader import Loader, Trial
from registry_sync.memory_budget import MemoryBudget
from registry_sync.registries import Details, Registry
from registry_sync.version import Version, VersionKey, VersionState
from router.spec.references import NAME_RULE, is_name
from router.spec.spec import ArmRef
from runtimes.errors import ModelRefused, StillLoading
from runtimes.load_options import LoadOptions
from runtimes.manifest import Manifest

_FETCH_AGAIN_AFTER_S = 2.0
_WAITING_AT_MOST = 16
"""Threads that wait for a version. The threads of HTTP handlers are 40, and the others are for other commands."""
_KEPT_FOR_OPERATOR_S = 30.0
"""An operator's command loads its versions first. This long no route needs to name them."""


class Catalogue:
    """All versions of one process. It resolves references through a registry and loads versions. Thread-safe.

    `trial` is called before each version is loaded. `start` says where versions are loaded. `budget` is the memory that
    they may take. `copy` is the registry if it is this machine's copy of one.
    """

    def __init__(
        self,
        registry: Registry,
        options: LoadOptions,
        trial: Trial = lambda key, manifest, retry: None,  # noqa: ARG005  # the type's
        start: Start = at_once,
        budget: MemoryBudget | None = None,
    ) -> None:
        self._registry = registry
        self.copy = registry.glance() if isinstance(registry, LocalCopy) else None
        self._glanced = self.copy or registry
        self._options = options
        self.loader = Loader(registry, options, trial, budget or MemoryBudget())
        self._versions: dict[VersionKey, Version] = {}
        self._resolved: dict[ArmRef, tuple[VersionKey, Manifest]] = {}
        self._for_operator_s: dict[VersionKey, float] = {}
        self._lock = threading.Lock()  # guards `_versions`
        self._waiting = threading.BoundedSemaphore(_WAITING_AT_MOST)
        # By manifest, too: a manifest that is corrected while its version loads is another piece of work.
        self._loading = Background[tuple[VersionKey, Manifest], Version](start, _FETCH_AGAIN_AFTER_S)

    def resolve(self, ref: ArmRef) -> tuple[VersionKey, Manifest]:
        """Return the version that a reference names now. While the registry is unavailable, return the last known one.

        Raises:
            UnknownModel: there is no such version.
            ModelRefused: its manifest cannot be read.
            RegistryUnavailable: the registry is unavailable, and what this reference names is not known here.
        """
        try:
            resolved = self._resolve(self._registry, ref)
        except RegistryUnavailable:
            return self._resolved.get(ref) or self.glance(ref)
        self._resolved[ref] = resolved
        return resolved

    def glance(self, ref: ArmRef) -> tuple[VersionKey, Manifest]:
        """Return the version that a reference names, without waiting: of a remote registry, what was read last.

        Raises:
            UnknownModel, ModelRefused, RegistryUnavailable: see `resolve`.
            BeingCopied: it is not in this machine's copy of the registry yet.
        """
        return self._resolve(self._glanced, ref)

    def _resolve(self, registry: Registry, ref: ArmRef) -> tuple[VersionKey, Manifest]:
        version = ref.version if ref.alias is None else _follow_alias(registry, ref.model, ref.alias)
        if version is None:
            raise UnknownModel(f"{ref.model} is named with neither a version nor an alias.")
        if not is_name(version):
            by = f"The alias {ref.alias} of {ref.model} names" if ref.alias else f"{ref.model} has"
            raise UnknownModel(f"{by} a version {ascii(version)[:100]}; a version's name has {NAME_RULE}.")
        manifest = registry.manifest(ref.model, version)
        return VersionKey(ref.model, version, manifest.digest), manifest

    def aliases(self, model: str) -> Mapping[str, str]:
        """Return the version of each alias of a model, without waiting: of a remote registry, as it was read last.

        Raises:
            UnknownModel, RegistryUnavailable: see `Registry.aliases`.
        """
        return self._glanced.aliases(model)

    def details(self, model: str, version: str) -> Details:
        """Return what the registry knows of a version, without waiting. Raises as `Registry.details`."""
        return self._glanced.details(model, version)

    def fresh_details(self, model: str, version: str) -> Details:
        """Return what the registry knows of a version now; wait for it. Raises as `Registry.details`."""
        registry = self._registry
        return (registry.fresh_details if isinstance(registry, LocalCopy) else registry.details)(model, version)

    def asked_s(self, model: str) -> float:
        """Return when the registry itself was asked for the aliases that `aliases` returns; infinity: it is asked now.

        This is of the monotonic clock.
        """
        return self._glanced.asked_s(model) if isinstance(self._glanced, LocalCopy) else math.inf

    def ask_again(self, model: str, since_s: float) -> None:
        """Have the companion ask the registry for the aliases of a model, unless it was asked since `since_s`."""
        if isinstance(self._glanced, LocalCopy):
            self._glanced.ask_again(model, since_s)

    @property
    def registry_trouble(self) -> str:
        """Why a remote registry as a whole was not read the last time, or an empty text."""
        return self._glanced.trouble("") if isinstance(self._glanced, LocalCopy) else ""

    def trouble(self, model: str, version: str) -> str:
        """Return why what `glance` returns may be old, or an empty text."""
        return self._glanced.trouble(model, version) if isinstance(self._glanced, LocalCopy) else ""

    def loading(self) -> dict[VersionKey, tuple[Manifest, str]]:
        """Return the versions that are being loaded or wait for that, with the manifest, and since when or for what."""
        return {key: (manifest, sentence) for (key, manifest), sentence in self._loading.unfinished()}

    def load(self, key: VersionKey, manifest: Manifest, retry: bool = False) -> Version:
        """Return the version, loaded into memory; wait for it. With `retry`, a quarantined version is tried again.

        Raises:
            RegistryUnavailable: the artifact could not be fetched. The next call tries again.
            StillLoading: it takes longer than the limit for trying and loading, or too many threads wait.
        """
        if retry:
            self._for_operator_s[key] = time.monotonic()
        version = self._loaded(key, manifest, retry)
        if version is not None:
            return version
        if not self._waiting.acquire(blocking=False):
            raise StillLoading(f"{key}: {_WAITING_AT_MOST} commands wait for versions to load; try again later.")
        try:
            version = self._loading.wait(
                (key, manifest), partial(self._load, key, manifest, retry), 2 * self._options.within_s
            )
        except Pending as pending:
            raise StillLoading(f"{key} is still being loaded, {pending}.") from None
        finally:
            self._waiting.release()
        if retry:
            self._for_operator_s[key] = time.monotonic()
        return version

    def loaded(self, key: VersionKey, manifest: Manifest) -> Version:
        """Return the version if it is in memory, or have it loaded in the background. This never waits.

        Raises:
            StillLoading: it is being loaded.
            RegistryUnavailable: the artifact could not be fetched.
        """
        version = self._loaded(key, manifest, False)
        if version is not None:
            return version
        try:
            return self._loading.ask((key, manifest), partial(self._load, key, manifest, False))
        except Pending as pending:
            with self._lock:
                known = self._versions.get(key)
            if known is not None and known.manifest == manifest:  # quarantined, and being tried again
                return known
            raise StillLoading(f"loading {key} {pending}") from None

    def close(self) -> None:
        """Let no thread wait for a version any more, since the process ends."""
        self._loading.close()

    def has_news(self) -> bool:
        """Return True if a version was loaded or quarantined in the background since the last call."""
        return self._loading.has_news()

    def _loaded(self, key: VersionKey, manifest: Manifest, retry: bool) -> Version | None:
        """Return the version if it is here and need not be loaded (again)."""
        with self._lock:
            known = self._versions.get(key)
        if (
            known is None
            or known.manifest != manifest
            or (known.state is VersionState.QUARANTINED and known.is_due(retry))
        ):
            return None
        return known

    def versions(self) -> list[Version]:
        """Return all versions, by name."""
        with self._lock:
            return [self._versions[key] for key in sorted(self._versions)]

    def retain(self, keys: set[VersionKey]) -> None:
        """Drop the READY versions that are not in `keys`, which frees their memory. Keep the quarantined ones.

        What a command of an operator has just loaded is kept, too, until its document is there.
        """
        since_s = time.monotonic() - _KEPT_FOR_OPERATOR_S
        self._for_operator_s = {key: at_s for key, at_s in list(self._for_operator_s.items()) if at_s >= since_s}
        kept = keys | self._for_operator_s.keys()
        with self._lock:
            unused = self._versions.keys() - kept
            dropped = [key for key in unused if self._versions[key].state is VersionState.READY]
            self._versions = {key: version for key, version in self._versions.items() if key not in dropped}
        for key in unused:  # an older runtime of a quarantined version may have served until now
            self.loader.drop(key)
        self._loading.retain(lambda asked: asked[0] in kept)

    def _load(self, key: VersionKey, manifest: Manifest, retry: bool) -> Version:
        version = self._loaded(key, manifest, retry)  # another thread may have loaded it since this work was asked for
        if version is None:
            version = self._try_and_load(key, manifest, retry)
            with self._lock:
                self._versions = {**self._versions, key: version}
        return version

    def _try_and_load(self, key: VersionKey, manifest: Manifest, retry: bool) -> Version:
        try:
            runtime, tried = self.loader.load(key, manifest, retry)
        except (RegistryUnavailable, StillLoading):
            raise
        except (ModelRefused, UnknownModel) as error:
            return Version(key, manifest, VersionState.QUARANTINED, f"{key}: {error}")
        except Exception as error:  # noqa: BLE001  # any fault that foreign bytes cause concerns this version alone
            return Version(key, manifest, VersionState.QUARANTINED, f"{key}: cannot be loaded: {error!r}.")
        return Version(key, manifest, VersionState.READY, runtime=runtime, tried=tried)


def _follow_alias(registry: Registry, model: str, alias: str) -> str:
    aliases = registry.aliases(model)
    if alias not in aliases:
        raise UnknownModel(f"Model {model} has no alias {alias!r}; it has {listed(aliases)}.")
    return aliases[alias]
