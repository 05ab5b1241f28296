"""Says once a minute what this machine has shipped, and closes the days that every machine has shipped.

Counting a day reads two columns of it. A child process does that, with a low priority.
"""

import os
import socket
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from gateway.companion.close import CloseTask
from gateway.execution.process.child import ChildProcess
from gateway.settings import Settings
from gateway.telemetry.periodic import LogOnce, PeriodicJob, run_every, run_once
from inference_log.completeness.days import days_before, end_us
from inference_log.completeness.standing import GRACE_US, standing
from inference_log.completeness.state import is_closed
from inference_log.completeness.watermark import Spool, read_watermarks, write_watermark
from inference_log.errors import LogError
from inference_log.files import LogFiles
from inference_log.files.open import open_files

_EVERY_S = 60.0
_DAYS = 3
_CLOSE = "gateway.companion.close"
_LIMIT_S = 3600.0
_SPREAD_S = 600
"""Machines begin to close a day so far apart at most. All but the first then find it closed."""
_NAME = "machine"
_NOT_BEFORE_S = 120.0
"""A companion that has just started has other things to do."""


class Completeness:
    """The watermark of this machine, and the closing of the last days. `is_last` is asked at the end."""

    def __init__(self, settings: Settings, is_last: Callable[[], bool]) -> None:
        self._log, self._kms_key = settings.log, settings.log_kms_key
        self._machine = machine_name(settings.spool)
        self._spool_folder = settings.spool
        self._spool = Spool(settings.spool, self._machine)
        self._is_last = is_last
        self._not_before_s = time.monotonic() + _NOT_BEFORE_S
        self._files: LogFiles | None = None
        self._closing: _Closing | None = None
        self._outage = LogOnce("inference_log.watermark.failed", "inference_log.watermark.written")

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, and say what is shipped once more after it."""
        job = PeriodicJob(self.tick, "inference_log.completeness.failed")
        run_once(PeriodicJob(self._note_name, job.failed), job)
        run_every(stop, _EVERY_S, job)
        run_once(PeriodicJob(self.finish, job.failed))

    def tick(self) -> None:
        """Write the watermark, and begin to close a day that is due."""
        now_us = int(time.time() * 1e6)
        try:
            files = self._opened()
            write_watermark(files, self._spool.watermark(now_us))
            self._outage.note("")
            if self._is_closing() or time.monotonic() < self._not_before_s:
                return
            day = next((day for day in days_before(now_us, _DAYS) if self._is_due(files, day, now_us)), "")
            if day:
                self._closing = _Closing(CloseTask(self._log, self._kms_key, day, now_us))
        except (LogError, OSError) as error:
            self._outage.note(str(error))

    def finish(self) -> None:
        """Say what is shipped, now that this process ships no more. Do not wait for a day to be closed."""
        if self._closing is not None:
            self._closing.end()
        try:
            write_watermark(self._opened(), self._spool.watermark(int(time.time() * 1e6), is_last=self._is_last()))
        except (LogError, OSError) as error:
            self._outage.note(str(error))

    def _note_name(self) -> None:
        self._spool_folder.mkdir(parents=True, exist_ok=True)
        (self._spool_folder / _NAME).write_text(self._machine)

    def _opened(self) -> LogFiles:
        if self._files is None:
            self._files = open_files(self._log, self._kms_key)
        return self._files

    def _is_due(self, files: LogFiles, day: str, now_us: int) -> bool:
        spread_us = zlib.crc32(f"{self._machine} {day}".encode()) % _SPREAD_S * 1_000_000
        if now_us < end_us(day) + GRACE_US + spread_us or is_closed(files, day):
            return False
        return standing(day, read_watermarks(files), now_us).is_closed

    def _is_closing(self) -> bool:
        if self._closing is not None and self._closing.has_ended():
            self._closing = None
        return self._closing is not None


class _Closing:
    """The child process that closes a day."""

    def __init__(self, task: CloseTask) -> None:
        argument = msgspec.json.encode(task).decode()
        self._child = ChildProcess(_CLOSE, argument, environment=os.environ, nice=10)
        self._until_s = time.monotonic() + _LIMIT_S

    def has_ended(self) -> bool:
        """Return True if the process has ended, also if it had to be killed because it took too long."""
        if not self._child.has_ended() and time.monotonic() < self._until_s:
            return False
        self.end()
        return True

    def end(self) -> None:
        """Kill the process, unless it has ended."""
        self._child.kill()
        self._child.wait()
        self._child.close()


def machine_name(spool: Path) -> str:
    """Return the name of a machine in watermarks. Two gateways of one host have different ones."""
    return f"{socket.gethostname()}-{zlib.crc32(os.fsencode(spool)):08x}"


def noted_name(spool: Path) -> str:
    """Return the name of the machine whose companion had this spool last, or nothing if it had none."""
    file = spool / _NAME
    return file.read_text() if file.exists() else ""
