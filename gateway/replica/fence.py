"""Kills a neighbour replica that exists but does not run, such as one that was stopped with SIGSTOP.

A stopped process still owns its listening socket, so the kernel goes on handing it connections. It cannot end itself,
as a process with a hanging event loop does (`gateway.replica.watchdog`). Its neighbours on the same machine can. Each
replica gives a heartbeat through the lock file of its seat. A replica without a heartbeat for too long is killed by a
neighbour that has been running all the while. Its seat is then free, and its log is shipped like that of any killed
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


class _Heartbeat(NamedTuple):
    """The last heartbeat of a process, and since when (on this process's clock) there has been no newer one."""

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
        self._heartbeats: dict[int, _Heartbeat] = {}
        self._looked_s = float("-inf")

    def look(self, now_s: float) -> None:
        """Look at the heartbeats. Call this about once a second; `now_s` is of a clock that never goes back."""
        if now_s - self._looked_s > self._limit_s / 2:
            self._heartbeats = {}  # this process did not run either, so it saw no heartbeats
        self._looked_s = now_s
        self._heartbeats = {
            seat: beat
            for seat in held_seats(self._spool) - {self._own_seat}
            if (beat := self._heartbeat(seat, now_s)) is not None
        }
        for beat in self._heartbeats.values():
            if now_s - beat.since_s > self._limit_s:
                self._fence(beat, now_s)

    def _heartbeat(self, seat: int, now_s: float) -> _Heartbeat | None:
        seen, before = holder(self._spool, seat), self._heartbeats.get(seat)
        if seen is None:
            return None
        if before is not None and (before.pid, before.shown_s) == seen:
            return before
        return _Heartbeat(*seen, since_s=now_s)

    def _fence(self, beat: _Heartbeat, now_s: float) -> None:
        _log.warning("gateway.fence.neighbour_ended", pid=beat.pid, silent_s=round(now_s - beat.since_s, 1))
        try:
            self._end(beat.pid)
        except (ProcessLookupError, PermissionError) as error:
            _log.warning("gateway.fence.neighbour_not_ended", pid=beat.pid, error=str(error))
