"""Keeps a companion running, from within each replica: starts it, replaces it, and has it do the last work.

A lock decides which of several companions stays. The replica that has started it keeps a connection to it, and sends
nothing over it after the settings. The companion ends when the connection does, and another replica starts the next
one. So a companion always has the settings of a replica that runs.
"""

import contextlib
import math
import os
import sys
import time

import structlog

from gateway.companion.fence import Fence
from gateway.companion.files import lock_file
from gateway.execution.process.child import ChildProcess
from gateway.settings import Settings
from inference_log.process_lock import is_held
from inference_log.spool import all_segments, held_seats

_log = structlog.get_logger()

_MODULE = "gateway.companion.main"
_NICE = 10
_STDOUT, _STDERR = 1, 2
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
_RAN_LONG_S = 5.0
_OTHERS_FIRST_S = 2.0
_SILENT_S = 10.0
"""A companion without a heartbeat for this long is killed. It has a low priority: on a busy machine it may be late."""
_LAST_WORK_S = 15.0
"""A companion that takes longer at the end, beside shipping, is killed. What it has not done, the next start does."""
_LOOK_EVERY_S = 0.05


class CompanionKeeper:
    """One per replica. One thread calls `look`; `finish` is called after it has ended.

    `is_first` is False if another replica is expected to start the companion, unless it does not.
    """

    def __init__(self, settings: Settings, *, is_first: bool) -> None:
        self._settings = settings
        self._lock_file = lock_file(settings)
        self._fence = Fence(lambda: [self._lock_file], _SILENT_S)
        self._child: ChildProcess | None = None
        self._started_s = 0.0
        self._pause_s = 0.0
        self._not_before_s = 0.0 if is_first else time.monotonic() + _OTHERS_FIRST_S

    def look(self) -> None:
        """Start a companion if there is none, and kill one that does not run. Call this about once a second.

        Raises:
            OSError: the lock cannot be looked at, or no process can be started. The next look tries again.
        """
        now_s = time.monotonic()
        if self._child is not None and self._child.has_ended():
            self._note_end(self._child, now_s)
        if self._child is None and now_s >= self._not_before_s and not is_held(self._lock_file):
            self._start(now_s)
        self._fence.look(now_s)

    def finish(self, within_s: float = math.inf) -> None:
        """Have the companion do the last work, if this is the last replica of the machine. Block until it is done.

        If other replicas run, the companion that this one has started ends, and one of the others starts the next.
        """
        until_s = time.monotonic() + min(within_s, _LAST_WORK_S + self._settings.ship_at_end_s)
        self._end(until_s)
        if self._is_left_over(until_s):
            self._start(time.monotonic())
            self._end(until_s)

    def _end(self, until_s: float) -> None:
        """Let the companion that this replica has started end, and kill it if it has not by then."""
        child = self._child
        if child is None:
            return
        child.connection.close()
        while not child.has_ended() and time.monotonic() < until_s:
            time.sleep(_LOOK_EVERY_S)
        child.kill()
        self._reap(child)

    def _is_left_over(self, until_s: float) -> bool:
        """Return True if segments are left, and neither a replica nor another companion that could ship them."""
        settings = self._settings
        while time.monotonic() < until_s and all_segments(settings.spool) and not held_seats(settings.spool):
            if not is_held(self._lock_file):
                return True
            time.sleep(_LOOK_EVERY_S)
        return False

    def _start(self, now_s: float) -> None:
        stdout = _STDOUT if self._settings.metrics_emf and sys.__stdout__ is not None else _STDERR
        child = ChildProcess(_MODULE, str(self._lock_file), environment=os.environ, nice=_NICE, stdout=stdout)
        self._child, self._started_s = child, now_s
        with contextlib.suppress(OSError):  # it has ended already, since another one has the lock
            child.connection.sendall(self._settings.model_dump_json().encode() + b"\n")

    def _reap(self, child: ChildProcess) -> str:
        """Wait for the end of a companion. Return a clause that says how it ended."""
        sentence = child.wait()
        child.close()
        self._child = None
        return sentence

    def _note_end(self, child: ChildProcess, now_s: float) -> None:
        """Reap a companion. If it ended soon after its start, wait for longer and longer before the next one."""
        sentence = self._reap(child)
        if is_held(self._lock_file):
            return
        has_run_long = now_s - self._started_s > _RAN_LONG_S
        self._pause_s = 0.0 if has_run_long else min(2 * self._pause_s or _FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        self._not_before_s = now_s + self._pause_s
        _log.warning("gateway.companion.ended", pid=child.pid, reason=sentence, next_in_s=self._pause_s)
