"""What a registry knows of versions besides their content, read in the background and only when it is asked for."""

import time
from collections.abc import Callable, Container
from typing import NamedTuple

from registry_sync.background import Background, Pending, Start, at_once
from registry_sync.registries import Details
from registry_sync.version import VersionKey
from runtimes.errors import StillLoading

_AGAIN_AFTER_S = 2.0
"""Tags may change at any time. This is as often as aliases are read."""


class _Known(NamedTuple):
    details: Details
    read_s: float


class DetailsReader:
    """One per process, used by one thread. `read` is `Registry.details`."""

    def __init__(
        self,
        read: Callable[[str, str], Details],
        start: Start = at_once,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._clock = clock
        self._reading = Background[VersionKey, _Known](start, _AGAIN_AFTER_S)
        self._known: dict[VersionKey, _Known] = {}

    def details(self, key: VersionKey) -> Details:
        """Return what was read last, and have it read again if that is a while ago. This never waits.

        Raises:
            StillLoading: it is being read for the first time.
            RegistryError, ModelRefused: it cannot be read.
        """
        known = self._known.get(key)
        if known is None or self._clock() - known.read_s >= _AGAIN_AFTER_S:
            try:
                known = self._known[key] = self._reading.ask(key, lambda: self._read_now(key))
            except Pending as pending:
                if known is None:
                    raise StillLoading(f"looking up the tags of {key} {pending}") from None
        return known.details

    def retain(self, keys: Container[VersionKey]) -> None:
        """Forget all other versions."""
        self._known = {key: known for key, known in self._known.items() if key in keys}
        self._reading.retain(keys.__contains__)

    def _read_now(self, key: VersionKey) -> _Known:
        read_s = self._clock()
        return _Known(self._read(key.model, key.version), read_s)
