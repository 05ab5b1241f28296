"""How slowly an answer of a registry may come, its head included. A limit for each read alone would never end one that
comes a byte at a time.
"""

import time
from collections.abc import Callable

PATIENCE_S = 60.0
SLOWEST_BYTES_PER_S = 1000
ANSWER_WITHIN_S = 30.0
"""For the body of an answer that is no file."""


class Pace:
    """Counts the bytes of one answer, from its first one on."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began_s: float | None = None
        self._count = 0

    def note(self, size: int) -> str:
        """Count bytes that came. Return a clause if they come too slowly, such as `60 bytes in 61 s`."""
        now_s = self._clock()
        self._began_s = now_s if self._began_s is None else self._began_s
        self._count += size
        took_s = now_s - self._began_s
        if self._count >= (took_s - PATIENCE_S) * SLOWEST_BYTES_PER_S:
            return ""
        return f"{self._count} bytes in {took_s:.0f} s"
