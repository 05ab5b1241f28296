"""Breaks off the work that blocks the event loop. If that does not help, it ends the process.

The kernel goes on handing connections to a process that hangs. Only the end of the process stops this, and its
supervisor replaces it. But the requests of others fail then. So after half of the time, Python code that is safe to
break off is broken off (`gateway.eventloop.interruption`). See docs/decisions/016.
"""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable

from gateway.eventloop.interruption import INTERRUPTION
from gateway.replica.loop_stack import describe_work, version_at_work
from registry_sync.version import VersionKey

_BEATS_PER_LIMIT = 10
_EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h


def _say(event: str, silent_s: float, work: str) -> None:
    # Straight to the descriptor: the hanging code may hold the locks of logging or of buffered streams.
    os.write(sys.stderr.fileno(), f"gateway.replica.watchdog.{event} silent_s={silent_s:.1f} work={work!r}\n".encode())


def _end(silent_s: float, work: str) -> None:
    _say("wedged", silent_s, work)
    os._exit(_EXIT_CODE)


class Watchdog:
    """One per replica. `end` gets the seconds for which the loop was silent, and what it is working on.

    `blame` gets the version whose batch blocked the loop, before the batch is broken off or the process ended.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limit_s: float,
        end: Callable[[float, str], None] = _end,
        blame: Callable[[VersionKey], None] = lambda _: None,
    ) -> None:
        self._loop = loop
        self._limit_s = limit_s
        self._period_s = limit_s / _BEATS_PER_LIMIT
        self._end = end
        self._blame = blame
        self._beat_s = time.monotonic()
        self._stop = threading.Event()
        self._loops_thread = 0
        self._seen = 0
        self._said = 0

    def start(self) -> None:
        """Start watching. Call this on the event loop."""
        self._loops_thread = threading.get_ident()
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
            silent_s = now_s - self._beat_s
            if silent_s > self._limit_s:
                self._blame_version()
                self._end(silent_s, describe_work(self._loops_thread))
                return
            self._break_off(silent_s)

    def _break_off(self, silent_s: float) -> None:
        """Break off a piece of work that has run since the last look, if the loop was silent for half of the time.

        The work may catch the exception and go on. So this is repeated until the process is ended.
        """
        number, seen = INTERRUPTION.running, self._seen
        self._seen = number
        if silent_s <= self._limit_s / 2 or number == 0 or number != seen:
            return
        work = describe_work(self._loops_thread)
        self._blame_version()
        if INTERRUPTION.break_off(self._loops_thread, number) and number != self._said:
            self._said = number
            _say("broken_off", silent_s, work)

    def _blame_version(self) -> None:
        version = version_at_work(self._loops_thread)
        if version is not None:
            self._blame(version)
