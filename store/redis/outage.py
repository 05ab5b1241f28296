"""A fast failure for all calls to a store that is known not to reply.

After a failure, calls fail at once for a short while, which grows with every further failure. Then one call may try the
store, while the others still fail at once. So an outage makes only one thread at a time wait, however many there are,
and it ends within a second of the store's return.
"""

import threading
import time
from collections.abc import Callable

from redis.backoff import EqualJitterBackoff

from store.errors import StoreUnavailable

_SHORTEST_S, _LONGEST_S = 0.1, 1.0


class Outage:
    """One per store. `longest_call_s` is how long a call may take. `now` returns the seconds of a monotonic clock."""

    def __init__(self, longest_call_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._longest_call_s = longest_call_s
        self._now = now
        self._lock = threading.Lock()
        self._backoff = EqualJitterBackoff(cap=_LONGEST_S, base=_SHORTEST_S)
        self._failures = 0
        self._until_s = 0.0
        self._reason = ""

    def enter(self) -> bool:
        """Return True if the store is thought to reply. Otherwise the caller is the one call that may try the store.

        Raises:
            StoreUnavailable: the last failure is too recent, or another call is trying the store.
        """
        if not self._failures:
            return True
        with self._lock:
            now_s = self._now()
            if now_s < self._until_s:
                raise StoreUnavailable(self._reason)
            self._until_s = now_s + self._longest_call_s
            return False

    def failed(self, reason: str) -> None:
        """Note that the store did not reply."""
        with self._lock:
            self._failures += 1
            self._reason = reason
            self._until_s = self._now() + self._backoff.compute(min(self._failures, 10))

    def succeeded(self) -> None:
        """Note that the store did reply."""
        if self._failures:
            with self._lock:
                self._failures = 0
