"""Spares everybody the wait for a store that is known not to answer. Acts.

After a failure, callers are refused at once for a short while that grows with every further failure; then one of
them may try, while the others are still refused. So an outage costs one thread at a time its patience, however many
ask, and is over within a second of the store's return.
"""

import threading
import time
from collections.abc import Callable

from redis.backoff import EqualJitterBackoff

from store.errors import StoreUnavailable

_SHORTEST_S, _LONGEST_S = 0.1, 1.0


class Outage:
    """One per store. `patience_s` is how long a try may take; `now` gives seconds that only grow."""

    def __init__(self, patience_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._patience_s = patience_s
        self._now = now
        self._lock = threading.Lock()
        self._backoff = EqualJitterBackoff(cap=_LONGEST_S, base=_SHORTEST_S)
        self._failures = 0
        self._until_s = 0.0
        self._why = ""

    def enter(self) -> bool:
        """Whether the store is thought to answer. If not, the caller tries for all the others.

        Raises:
            StoreUnavailable: it was asked a moment ago.
        """
        if not self._failures:
            return True
        with self._lock:
            now_s = self._now()
            if now_s < self._until_s:
                raise StoreUnavailable(self._why)
            self._until_s = now_s + self._patience_s
            return False

    def failed(self, why: str) -> None:
        """The store did not answer."""
        with self._lock:
            self._failures += 1
            self._why = why
            self._until_s = self._now() + self._backoff.compute(min(self._failures, 10))

    def answered(self) -> None:
        """The store did answer."""
        if self._failures:
            with self._lock:
                self._failures = 0
