"""The time that one connection may take before other connections get their turn of the event loop.

A client can send frames faster than Python handles them. If all of them were handled as they arrive, nothing else would
run meanwhile: no other connection, no timer. So a connection works for `SLICE_S` at a time. What is left then waits in
a queue, and goes on in the next turn of the loop, in which every other connection gets its share first.

The event loop may read a socket many times in one turn. Therefore a slice is not renewed with each read: it grows back
with the time in which the connection does not work, and becomes whole when the queue goes on in a later turn.
"""

import asyncio
from collections import deque
from collections.abc import Callable

SLICE_S = 0.002
"""About 500 small calls, or 1000 control frames, on the machine of docs/performance.md."""


class Turns:
    """The slices of one connection, and the queue of its work for later turns.

    `until_s` is the end of the slice that has begun, and `now_s` its beginning, by `clock`.
    """

    __slots__ = ("_ended_s", "_is_scheduled", "_left_s", "_queue", "clock", "now_s", "until_s")

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.now_s = self.until_s = self._ended_s = clock()
        self._left_s = SLICE_S
        self._queue: deque[Callable[[], None]] = deque()
        self._is_scheduled = False

    def begin(self) -> bool:
        """Begin to work. Return False if nothing of the slice is left."""
        self.now_s = now_s = self.clock()
        left_s = self._left_s + now_s - self._ended_s
        self.until_s = now_s + (min(SLICE_S, left_s))
        return left_s > 0

    def end(self) -> None:
        """Stop working."""
        self._ended_s = now_s = self.clock()
        self._left_s = self.until_s - now_s if now_s < self.until_s else 0.0

    def is_over(self) -> bool:
        """Return True if the slice is spent."""
        return self.clock() >= self.until_s

    def later(self, work: Callable[[], None]) -> None:
        """Call `work` in a later turn of the loop, after all work that was queued before."""
        self._queue.append(work)
        if not self._is_scheduled:
            self._schedule()

    def clear(self) -> None:
        """Forget the queue: the connection is lost."""
        self._queue.clear()

    def _schedule(self) -> None:
        self._is_scheduled = True
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        """Work on what was queued before this turn, for one slice."""
        self._left_s = SLICE_S
        self.begin()
        try:
            for _ in range(len(self._queue)):
                if not self._queue or self.is_over():
                    break
                self._queue.popleft()()
        finally:
            self.end()
            self._is_scheduled = False
            if self._queue:
                self._schedule()
