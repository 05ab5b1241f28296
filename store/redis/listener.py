"""A listener for changes, on a connection of its own.

A message that arrives while no thread listens waits on the connection. A new connection may have missed a message, so
the first wait on it ends at once. One thread listens; other threads that wait at the same time sleep.
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
"""Everything that redis-py raises when a connection is closed while another thread reads from it."""


class ChangeListener:
    """One listener per store. `client` returns the store's client. `closed` is set when the store is closed."""

    def __init__(self, client: Callable[[], RedisClient], channel: str, closed: threading.Event) -> None:
        self._client = client
        self._channel = channel
        self._closed = closed
        self._lock = threading.Lock()
        self._subscription: Subscription | None = None

    def wait(self, timeout_s: float) -> bool:
        """Wait for a message, for `timeout_s`, or until the store is closed. This raises nothing.

        Return True if there was a message, or if one may have been missed before.
        """
        until_s = time.monotonic() + timeout_s
        if not self._lock.acquire(blocking=False):
            self._closed.wait(timeout_s)
            return False
        try:
            return self._listen(until_s)
        except _FAULTS:
            self._disconnect()
            self._closed.wait(max(0.0, until_s - time.monotonic()))
            return False
        finally:
            if self._closed.is_set():
                self._disconnect()
            self._lock.release()

    def close(self) -> None:
        """Close the connection. If a thread is listening, that thread closes it instead."""
        if self._lock.acquire(blocking=False):
            self._disconnect()
            self._lock.release()

    def _listen(self, until_s: float) -> bool:
        if self._closed.is_set():
            return False
        if self._subscription is None:
            self._subscription = self._client().pubsub()
            self._subscription.subscribe(self._channel)
            if self._await_message(self._subscription, until_s, confirmation=True):
                return True
        return self._await_message(self._subscription, until_s)

    def _await_message(self, subscription: Subscription, until_s: float, *, confirmation: bool = False) -> bool:
        """Return True if a message comes in time. Further messages that have arrived by then are dropped with it."""
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

    def _disconnect(self) -> None:
        if self._subscription is not None:
            subscription, self._subscription = self._subscription, None
            with suppress(*_FAULTS):  # the connection is broken already
                subscription.close()
