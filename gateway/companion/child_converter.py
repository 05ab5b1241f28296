"""Converts segments in a child process with a limit on its memory.

Converting takes much processor time and memory. A segment that no process can convert must not end the companion, nor
slow what else it does. The child is started when there is a segment to convert, and ends when none is left.
"""

import os
import select
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from gateway.companion.convert import Task
from gateway.execution.process.child import ChildProcess
from inference_log.converter import Converted, Outcome
from inference_log.errors import Interrupted

_CONVERT = "gateway.companion.convert"
_LOOK_EVERY_S = 0.1
_LIMIT_S = 900.0
"""A conversion that gives no sign of life for longer than this is killed, and counts as one that failed.

It gives one with each piece and each file. A file is stored within three minutes, or not at all.
"""


class ChildConverter:
    """See `inference_log.converter.Converter`. One thread uses it, and calls `rest` when nothing is left to convert."""

    def __init__(self, task: Task, limit_s: float = _LIMIT_S) -> None:
        self._task = msgspec.json.encode(task).decode()
        self._limit_s = limit_s
        self._child: ChildProcess | None = None

    def convert(self, path: Path, expired: Callable[[], bool]) -> Converted:
        """See `Converter.convert`."""
        try:
            child = self._child = self._child or ChildProcess(_CONVERT, self._task, environment=os.environ, nice=0)
        except OSError as error:
            return Converted(Outcome.UNAVAILABLE, sentence=f"no process can be started: {error}", code="process")
        try:
            child.connection.sendall(os.fsencode(path) + b"\n")
            return msgspec.json.decode(self._await(child, expired), type=Converted)
        except Interrupted as error:
            self.rest()
            return Converted(Outcome.INTERRUPTED, sentence=str(error))
        except (OSError, msgspec.DecodeError) as error:
            return Converted(Outcome.FAILED, sentence=f"{self.rest()}: {error}", code="process")

    def rest(self) -> str:
        """End the child, if there is one. Return a clause that says how it ended."""
        child, self._child = self._child, None
        if child is None:
            return ""
        child.kill()
        ended = child.wait()
        child.close()
        return ended

    def _await(self, child: ChildProcess, expired: Callable[[], bool]) -> bytes:
        """Return the child's line.

        Raises:
            Interrupted: `expired` returned True.
            OSError: the child ended, or took too long.
        """
        line, until_s = b"", time.monotonic() + self._limit_s
        while not (line := line.lstrip(b"\n")).endswith(b"\n"):
            if expired():
                raise Interrupted("The companion is about to end.")
            if time.monotonic() > until_s:
                raise TimeoutError(f"it took longer than {self._limit_s:.0f} s")
            if select.select([child.connection], [], [], _LOOK_EVERY_S)[0]:
                received = child.connection.recv(65536)
                if not received:
                    raise ConnectionError("it sent no result")
                line += received
                until_s = time.monotonic() + self._limit_s
        return line
