"""How often a replica asks the store for changes, where the store tells of them.

A store may tell of a change at once (`Store.await_change`), and asking it is then only for what was not told. But a
store may also be unable to tell, as without the right to publish, or a connection may be lost without a sign. So a
replica asks at every tick until it was told of a change that it then found. From there on it asks when it is told, and
else about once a second. If it finds a change of which it was not told, it goes back to every tick.
"""

from collections.abc import Callable

TOLD_EVERY_S = 1.0
_LEAST_PART = 0.75
"""Replicas that start together do not ask together: each time they wait for 75 to 100 % of the time above."""


class Cadence:
    """One per replica, used by one thread. `draw` returns a random number from 0 to 1."""

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw
        self._is_told = False
        self._due_s = float("-inf")

    def is_due(self, now_s: float, *, told: bool) -> bool:
        """Return True if the store is to be asked at `now_s`, by the monotonic clock."""
        return told or not self._is_told or now_s >= self._due_s

    def asked(self, now_s: float, *, told: bool, found: bool) -> None:
        """Note that the store was asked, whether it had told of a change, and whether there was one."""
        if found:
            self._is_told = told
        self._due_s = now_s + TOLD_EVERY_S * (_LEAST_PART + (1 - _LEAST_PART) * self._draw())

    def failed(self) -> None:
        """Note that the store did not answer: ask at every tick until a change shows that it tells of them."""
        self._is_told = False
