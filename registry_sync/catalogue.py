"""The versions that this process holds: READY with a runtime, or QUARANTINED with a reason. Acts.

A version is named by model, version and the sha256 its manifest pins, so a version whose manifest changes is
another version. A quarantined one is tried again now and then, when its manifest changes, or when somebody asks.
"""

import threading
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from registry_sync.errors import RegistryUnavailable, UnknownModel
from registry_sync.registries import Registry
from router.spec.spec import ArmRef
from runtimes.errors import ModelRefused
from runtimes.load import LoadOptions, load
from runtimes.manifest import Manifest
from runtimes.runtime import Runtime

_RETRY_AFTER_S = 30.0


class VersionKey(NamedTuple):
    """One immutable version, pinned by the digest of its artifact."""

    model: str
    version: str
    digest: str

    def __str__(self) -> str:
        return f"{self.model}:{self.version}"


class VersionState(StrEnum):
    """Where a version stands."""

    READY = "READY"
    QUARANTINED = "QUARANTINED"


@dataclass(frozen=True, slots=True)
class Version:
    """A version as this process holds it; `runtime` is there exactly when it is READY."""

    key: VersionKey
    manifest: Manifest
    state: VersionState
    reason: str = ""
    runtime: Runtime | None = None
    since_s: float = field(default_factory=time.monotonic, compare=False)

    def is_due(self, retry: bool) -> bool:
        """Whether a quarantined version is worth another try: what was missing or half copied may be there now."""
        return retry or time.monotonic() - self.since_s > _RETRY_AFTER_S


class Catalogue:
    """Resolves references through the registry, loads what is asked for, and remembers. Thread-safe.

    `trouble` is why the registry could not be asked the last time, or empty.
    """

    def __init__(self, registry: Registry, options: LoadOptions) -> None:
        self.trouble = ""
        self._registry = registry
        self._options = options
        self._versions: dict[VersionKey, Version] = {}
        self._resolved: dict[ArmRef, tuple[VersionKey, Manifest]] = {}
        self._lock = threading.Lock()  # of the table
        self._loading = threading.Lock()  # held while something is loaded, which may take long

    def resolve(self, ref: ArmRef) -> tuple[VersionKey, Manifest]:
        """The version that a reference names right now; while the registry does not answer, what it named last.

        Raises:
            UnknownModel: there is none.
            ModelRefused: its manifest cannot be read.
            RegistryUnavailable: the registry does not answer, and it has not been asked for this reference before.
        """
        try:
            resolved = self._resolve(ref)
        except RegistryUnavailable as error:
            self.trouble = str(error)
            known = self._resolved.get(ref)
            if known is None:
                raise
            return known
        self.trouble = ""
        self._resolved[ref] = resolved
        return resolved

    def resolve_now(self, ref: ArmRef) -> tuple[VersionKey, Manifest]:
        """The same, but what the registry itself says.

        Raises:
            UnknownModel, ModelRefused: see `resolve`.
            RegistryUnavailable: the registry does not answer.
        """
        return self._resolve(ref)

    def _resolve(self, ref: ArmRef) -> tuple[VersionKey, Manifest]:
        version = ref.version if ref.alias is None else self._follow(ref.model, ref.alias)
        if version is None:
            raise UnknownModel(f"{ref.model} is named with neither a version nor an alias.")
        manifest = self._registry.manifest(ref.model, version)
        return VersionKey(ref.model, version, manifest.sha256), manifest

    def obtain(self, key: VersionKey, manifest: Manifest, retry: bool = False) -> Version:
        """The version, loaded first if need be; `retry` gives a quarantined one another try.

        Raises:
            RegistryUnavailable: the artifact could not be fetched; nothing is remembered.
        """
        held = self._held(key, manifest, retry)
        if held is not None:  # nobody who wants what is there waits for what somebody else loads
            return held
        with self._loading:
            held = self._held(key, manifest, retry)
            if held is None:
                held = self._load(key, manifest)
                with self._lock:
                    self._versions = {**self._versions, key: held}
            return held

    def _held(self, key: VersionKey, manifest: Manifest, retry: bool) -> Version | None:
        """The version as it is held, unless it has to be loaded (again)."""
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
        """Everything held, by name."""
        with self._lock:
            return [self._versions[key] for key in sorted(self._versions)]

    def retain(self, keys: set[VersionKey]) -> None:
        """Drops READY versions that nothing refers to, which frees their memory; reasons are kept."""
        with self._lock:
            self._versions = {
                key: held
                for key, held in self._versions.items()
                if key in keys or held.state is VersionState.QUARANTINED
            }

    def _follow(self, model: str, alias: str) -> str:
        aliases = self._registry.aliases(model)
        if alias not in aliases:
            raise UnknownModel(f"Model {model} has no alias {alias!r}; it has {', '.join(aliases) or 'none'}.")
        return aliases[alias]

    def _load(self, key: VersionKey, manifest: Manifest) -> Version:
        try:
            runtime = load(self._registry.fetch(key.model, key.version, manifest), manifest, self._options)
        except RegistryUnavailable:
            raise
        except (ModelRefused, UnknownModel) as error:
            return Version(key, manifest, VersionState.QUARANTINED, f"{key}: {error}")
        except Exception as error:  # noqa: BLE001  # whatever foreign bytes provoke concerns this version alone
            return Version(key, manifest, VersionState.QUARANTINED, f"{key}: cannot be loaded: {error!r}.")
        return Version(key, manifest, VersionState.READY, runtime=runtime)
