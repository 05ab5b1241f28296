"""Ends a process whose event loop hangs, so that its supervisor replaces it.

The kernel goes on handing connections to a process that hangs. Only the end of the process stops this.
"""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable

_BEATS_PER_LIMIT = 10
_EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h


def _end(silent_s: float) -> None:
    # Straight to the descriptor: the hanging code may hold the locks of logging or of buffered streams.
    os.write(sys.stderr.fileno(), f"gateway.replica.watchdog.wedged silent_s={silent_s:.1f}: ending\n".encode())
    os._exit(_EXIT_CODE)


class Watchdog:
    """One per replica."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit_s: float, end: Callable[[float], None] = _end) -> None:
        self._loop = loop
        self._limit_s = limit_s
        self._period_s = limit_s / _BEATS_PER_LIMIT
        self._end = end
        self._beat_s = time.monotonic()
        self._stop = threading.Event()

    def start(self) -> None:
        """Start watching. Call this on the event loop."""
        self._beat()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """Stop watching: from now on the process is not ended."""
        self._stop.set()

    def _beat(self) -> None:
        self._beat_s = time.monotonic()
        if not self._stop.is_set():
            self._loop.call_later(self._period_s, self._beat)

    def _watch(self) -> None:
        looked_s = time.monotonic()
        while not self._stop.wait(self._period_s):
            now_s = time.monotonic()
            if now_s - looked_s > self._limit_s / 2:
                # This thread did not run either: the whole process was stopped. Give the loop its full time again.
                self._beat_s = now_s
            looked_s = now_s
            if now_s - self._beat_s > self._limit_s:
                self._end(now_s - self._beat_s)
                return
