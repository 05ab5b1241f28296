"""Ends a neighbour that is alive and does nothing, such as one that was stopped. Acts.

A stopped process still owns its listening socket, so the kernel goes on handing it connections, and it cannot end
itself as a process with a hanging loop does (`gateway.replica.watchdog`). Its neighbours on the same
machine can: each shows life through its seat's lock file, and whoever has not done so for long, as seen by a neighbour
that has been running all the while, is killed. Its seat then falls free, and its log is shipped like that of any killed
replica.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import structlog

from inference_log.spool import held_seats, holder

_log = structlog.get_logger()


class _Sign(NamedTuple):
    """A sign of life, and since when (on this process's clock) there has been no newer one."""

    pid: int
    shown_s: float
    since_s: float


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


class Fence:
    """One per replica."""

    def __init__(self, spool: Path, own_seat: int, limit_s: float, end: Callable[[int], None] = _kill) -> None:
        self._spool = spool
        self._own_seat = own_seat
        self._limit_s = limit_s
        self._end = end
        self._signs: dict[int, _Sign] = {}
        self._looked_s = float("-inf")

    def look(self, now_s: float) -> None:
        """Called about once a second; `now_s` is of a clock that never goes back."""
        if now_s - self._looked_s > self._limit_s / 2:
            self._signs = {}  # this process has not been running either: nothing was seen of the others
        self._looked_s = now_s
        self._signs = {
            seat: sign
            for seat in held_seats(self._spool) - {self._own_seat}
            if (sign := self._sign(seat, now_s)) is not None
        }
        for sign in self._signs.values():
            if now_s - sign.since_s > self._limit_s:
                self._fence(sign, now_s)

    def _sign(self, seat: int, now_s: float) -> _Sign | None:
        seen, before = holder(self._spool, seat), self._signs.get(seat)
        if seen is None:
            return None
        if before is not None and (before.pid, before.shown_s) == seen:
            return before
        return _Sign(*seen, since_s=now_s)

    def _fence(self, sign: _Sign, now_s: float) -> None:
        _log.warning("gateway.fence.neighbour_ended", pid=sign.pid, silent_s=round(now_s - sign.since_s, 1))
        try:
            self._end(sign.pid)
        except (ProcessLookupError, PermissionError) as error:
            _log.warning("gateway.fence.neighbour_not_ended", pid=sign.pid, error=str(error))
