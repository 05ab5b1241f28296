"""Listens for changes on a connection of its own. Acts.

What was told while nobody listened waits on the connection. A connection that is new may have missed something: the
first wait on it ends at once. One thread listens; others that wait at the same time sleep.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from store.errors import StoreUnavailable
from store.redis.client import ERRORS, RedisClient, Subscription

_SLICE_S = 0.25
"""How long one read may take, so that closing is noticed."""
_FAULTS = (*ERRORS, StoreUnavailable, ValueError, RuntimeError, AttributeError)
"""What redis-py raises when a connection is closed under the thread that reads from it, besides its own errors."""


class ChangeListener:
    """One per store. `client` gives the store's client, `closed` is set when the store is."""

    def __init__(self, client: Callable[[], RedisClient], channel: str, closed: threading.Event) -> None:
        self._client = client
        self._channel = channel
        self._closed = closed
        self._lock = threading.Lock()
        self._subscription: Subscription | None = None

    def wait(self, timeout_s: float) -> None:
        """Returns when something is told, or after `timeout_s`, or when the store is closed; raises nothing."""
        until_s = time.monotonic() + timeout_s
        if not self._lock.acquire(blocking=False):
            self._closed.wait(timeout_s)
            return
        try:
            self._listen(until_s)
        except _FAULTS:
            self._end()
            self._closed.wait(max(0.0, until_s - time.monotonic()))
        finally:
            if self._closed.is_set():
                self._end()
            self._lock.release()

    def close(self) -> None:
        """Ends the connection, unless somebody is listening, who then does."""
        if self._lock.acquire(blocking=False):
            self._end()
            self._lock.release()

    def _listen(self, until_s: float) -> None:
        if self._closed.is_set():
            return
        if self._subscription is None:
            self._subscription = self._client().pubsub()
            self._subscription.subscribe(self._channel)
            if self._told(self._subscription, until_s, confirmation=True):
                return
        self._told(self._subscription, until_s)

    def _told(self, subscription: Subscription, until_s: float, *, confirmation: bool = False) -> bool:
        """Whether something came in time; what else has come by then is said with it."""
        while not self._closed.is_set():
            left_s = until_s - time.monotonic()
            message = subscription.get_message(timeout=max(0.0, min(_SLICE_S, left_s)))
            if message is not None and (confirmation or message["type"] == "message"):
                while subscription.get_message(timeout=0.0) is not None:
                    pass
                return True
            if message is None and left_s <= 0:
                return False
        return False

    def _end(self) -> None:
        if self._subscription is not None:
            subscription, self._subscription = self._subscription, None
            with suppress(*_FAULTS):  # it is gone already
                subscription.close()
