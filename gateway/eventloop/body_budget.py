"""The bytes of requests that one replica may hold, over all connections of all ports.

A body counts from its first byte until its response is made: while it arrives, while it is decoded, and as tensors. A
response counts while it waits for a client that reads slowly. Large requests leave a share of the budget free, so small
ones are served when the large ones have used theirs.
"""

from collections.abc import Hashable
from threading import Lock

from gateway.errors import Overloaded

SMALL_BYTES = 64 * 1024
"""A request of this size may use all of the budget, a larger one 15/16 of it."""
_KEPT_FREE = 16


class BodyBudget:
    """A number of bytes that connections share. One per replica. The threads that decode use it, too.

    `left` is how many are left. It is below 0 if responses have taken the budget a second time. `least_left` is the
    least that were left since it was set. `lock` guards both.
    """

    __slots__ = ("_kept_free", "_max_bytes", "least_left", "left", "lock")

    def __init__(self, max_bytes: int) -> None:
        self.left = self.least_left = self._max_bytes = max_bytes
        self.lock = Lock()
        self._kept_free = max_bytes // _KEPT_FREE

    def take(self, count: int, *, is_large: bool = False) -> bool:
        """Take bytes for a part of a body that has arrived. Return False, and take nothing, if fewer are left."""
        with self.lock:
            if not self.affords(count, is_large=is_large):
                return False
            self.use(count)
            return True

    def affords(self, count: int, *, is_large: bool = False) -> bool:
        """Return True if so many bytes are left."""
        return count <= (self.left - self._kept_free if is_large else self.left)

    def is_unused(self) -> bool:
        """Return True if nothing is held but small parts."""
        return self.left > self._max_bytes - SMALL_BYTES

    def affords_response(self, count: int) -> bool:
        """Return True if a response of so many bytes may be made.

        Responses may take the budget a second time. Otherwise the bodies that use it up would get none.
        """
        return count <= self.left + self._max_bytes

    def owe(self, count: int) -> None:
        """Take bytes whether they are left or not: they are held already."""
        with self.lock:
            self.use(count)

    def use(self, count: int) -> None:
        """Do as `owe`, for a caller that has the lock."""
        self.left -= count
        self.least_left = min(self.least_left, self.left)

    def give(self, count: int) -> None:
        """Give back `count` bytes: they are not held any more."""
        with self.lock:
            self.left += count


class Holding:
    """What one request holds of the budget. `connection` tells the requests of one connection from those of others."""

    __slots__ = ("_budget", "_is_closed", "connection", "held")

    def __init__(self, budget: BodyBudget, connection: Hashable = None) -> None:
        self.connection = self if connection is None else connection
        self.held = 0
        self._budget = budget
        self._is_closed = False

    def add(self, count: int) -> None:
        """Count more bytes.

        Raises:
            Overloaded: the replica holds too many.
        """
        with self._budget.lock:
            self.require(count)
            if not self._is_closed:
                self._budget.use(count)
                self.held += count

    def require(self, count: int) -> None:
        """Check that so many bytes more could be held now.

        Raises:
            Overloaded: the replica holds too many.
        """
        if not self._budget.affords(count, is_large=self.held + count > SMALL_BYTES):
            raise Overloaded("The gateway holds too many bytes of unfinished requests; try again later.")

    def become_response(self, count: int) -> None:
        """Count a response of so many bytes instead of its request.

        Raises:
            Overloaded: too many responses wait for clients that do not read them.
        """
        self.require_response(count)
        self.owe(count)

    def require_response(self, count: int) -> None:
        """Release the request, and check that a response of so many bytes may be held.

        Raises:
            Overloaded: too many responses wait for clients that do not read them.
        """
        self.release()
        if not self._budget.affords_response(count):
            raise Overloaded("Too many bytes of responses wait for clients that read slowly; try again later.")

    def owe(self, count: int) -> None:
        """Count bytes that are held already."""
        with self._budget.lock:
            if not self._is_closed:
                self._budget.use(count)
                self.held += count

    def release(self) -> None:
        """Give back everything."""
        with self._budget.lock:
            self._budget.left += self.held
            self.held = 0

    def close(self) -> None:
        """Give back everything, and count nothing any more: a thread may still be at work for a client that left."""
        self._is_closed = True
        self.release()
