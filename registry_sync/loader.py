"""Tries a version, takes the memory that it needs, and loads it into this process."""

import threading
from collections.abc import Callable, Hashable

from registry_sync.memory_budget import MemoryBudget
from registry_sync.registries import Registry
from registry_sync.version import Tried, VersionKey
from runtimes.errors import ModelRefused, StillLoading
from runtimes.load import load
from runtimes.load_options import LoadOptions
from runtimes.manifest import Manifest
from runtimes.runtime import Runtime

Trial = Callable[[VersionKey, Manifest, bool], Tried | None]
"""Raises `ModelRefused` for a version that must not be loaded into this process. True stands for `retry`."""

_OWN_CODE = ("mlflow", "python")


class Loader:
    """Any thread may use it. `trial` is called before a version is loaded. `budget` is the memory of all versions."""

    def __init__(self, registry: Registry, options: LoadOptions, trial: Trial, budget: MemoryBudget) -> None:
        self._registry = registry
        self._options = options
        self._trial = trial
        self._budget = budget
        self._owners: dict[VersionKey, set[Hashable]] = {}
        self._lock = threading.Lock()  # guards `_owners`

    def load(self, key: VersionKey, manifest: Manifest, retry: bool) -> tuple[Runtime | None, Tried | None]:
        """Try a version, and load it if its placement is in the replica.

        Raises:
            RegistryUnavailable, UnknownModel: it cannot be fetched.
            StillLoading: it waits for memory.
            ModelRefused: it cannot be served.
        """
        tried = self._trial(key, manifest, retry)
        return self.load_here(key, manifest, tried) if manifest.placement == "replica" else None, tried

    def load_here(self, key: VersionKey, manifest: Manifest, tried: Tried | None, owner: Hashable = None) -> Runtime:
        """Load a version into this process. Raises like `load`.

        `owner` says whose runtime it is, if it is not the version's one for all lanes: it takes memory of its own. A
        runtime that the new one replaces serves until then, so it keeps its memory if the new one cannot be loaded.
        """
        if manifest.runtime in _OWN_CODE:
            raise ModelRefused("it runs code of its own: serve it with placement: process, or placement: dedicated.")
        try:
            before = self._budget.take((key, owner), 0 if tried is None else tried.memory_bytes)
        except StillLoading as error:
            raise StillLoading(f"{key} {error}") from None
        with self._lock:
            self._owners.setdefault(key, set()).add(owner)
        try:
            files = self._registry.fetch(key.model, key.version, manifest)
            return load(files, manifest, self._options, is_tried=tried is not None)
        except BaseException:
            self._budget.restore((key, owner), before)
            raise

    def was_short_of_memory(self) -> bool:
        """Return True if a version had to wait for memory since the last call."""
        return self._budget.was_short()

    def drop(self, key: VersionKey) -> None:
        """Give back the memory of a version that this process does not keep."""
        with self._lock:
            owners = self._owners.pop(key, set())
        for owner in owners:
            self._budget.give_back((key, owner))

    def give_back(self, key: VersionKey, owner: Hashable) -> None:
        """Give back the memory of a runtime of its own (`load_here`), if there is one."""
        with self._lock:
            self._owners.get(key, set()).discard(owner)
        self._budget.give_back((key, owner))
