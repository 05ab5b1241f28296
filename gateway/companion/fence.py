"""Kills a process of this machine that exists but does not run, such as one that was stopped with SIGSTOP.

A stopped replica still owns its listening socket, so the kernel goes on handing it connections. A stopped companion
does no work, and holds the lock that keeps another from doing it. Neither can end itself, as a process with a hanging
event loop does (`gateway.replica.watchdog`). Others can: the companion watches the replicas, and the replicas watch the
companion. Each gives a heartbeat through the lock that it holds. A process without a heartbeat for too long is killed
by one that has been running all the while. Its lock is then free.
"""

import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import structlog

from inference_log.process_lock import holder

_log = structlog.get_logger()


class _Heartbeat(NamedTuple):
    """The last heartbeat of a process, and since when (on this process's clock) there has been no newer one."""

    pid: int
    shown_s: float
    since_s: float


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


class Fence:
    """Watches the holders of the locks that `locks` returns."""

    def __init__(self, locks: Callable[[], Iterable[Path]], limit_s: float, end: Callable[[int], None] = _kill) -> None:
        self._locks = locks
        self._limit_s = limit_s
        self._end = end
        self._heartbeats: dict[Path, _Heartbeat] = {}
        self._looked_s = float("-inf")

    def look(self, now_s: float) -> None:
        """Look at the heartbeats. Call this about once a second; `now_s` is of a clock that never goes back."""
        if now_s - self._looked_s > self._limit_s / 2:
            self._heartbeats = {}  # this process did not run either, so it saw no heartbeats
        self._looked_s = now_s
        self._heartbeats = {path: beat for path in self._locks() if (beat := self._heartbeat(path, now_s)) is not None}
        for path, beat in self._heartbeats.items():
            if now_s - beat.since_s > self._limit_s and not os.statvfs(path).f_flag & os.ST_RDONLY:
                self._fence(beat, now_s)  # on a disk that has become read-only, no process can give a heartbeat

    def _heartbeat(self, path: Path, now_s: float) -> _Heartbeat | None:
        seen, before = holder(path), self._heartbeats.get(path)
        if seen is None:
            return None
        if before is not None and (before.pid, before.shown_s) == seen:
            return before
        return _Heartbeat(*seen, since_s=now_s)

    def _fence(self, beat: _Heartbeat, now_s: float) -> None:
        _log.warning("gateway.fence.process_ended", pid=beat.pid, silent_s=round(now_s - beat.since_s, 1))
        try:
            self._end(beat.pid)
        except (ProcessLookupError, PermissionError) as error:
            _log.warning("gateway.fence.process_not_ended", pid=beat.pid, error=str(error))
