"""Asks whether rows are in the second place, and starts the process that puts them there.

That process is a child of the replica, not of the companion: a request waits for it, and the companion yields the
processor to requests. Nothing else is done in it. It is started when a route is strict.

There is one question at a time. It is about all that was appended until then, so requests that wait share an answer.
"""

import asyncio
import os
import time
from collections import deque
from typing import NamedTuple

import msgspec
import structlog

from gateway.errors import Overloaded, RowNotConfirmed
from gateway.eventloop.driver import Pending
from gateway.execution.process.child import ChildProcess
from gateway.inference.strict.acknowledge import Task
from gateway.telemetry.periodic import LogOnce
from inference_log.strict.acknowledge import Question, Reply
from inference_log.writer import LogWriter

_log = structlog.get_logger()

_MODULE = "gateway.inference.strict.acknowledge"
_AGAIN_AFTER_S = 0.2
_SILENT_S = 30.0
"""A process without an answer for this long is killed. It tries a put for twelve seconds at most."""
_RAN_LONG_S, _PAUSE_S = 10.0, 5.0
"""A process that has ended so soon after its start is not started again before the pause is over."""

_NOT_IN_TIME = (
    "The prediction is not sent, because its row is not known to be in a second place in time, as the route asks "
    "(durability strict). Send the request again."
)

Position = tuple[int, int]
"""The number of a segment of this replica's log, and an offset in it."""


class _Waiting(NamedTuple):
    """A request that waits until the log from the segment `first` to a position is in the second place."""

    first: int
    position: Position
    pending: Pending[None]
    timer: asyncio.TimerHandle


class SecondPlace:
    """One per replica. The event loop calls `require_room` and `confirm`; one other thread calls `look`.

    At most `max_waiting` requests wait. It `is_ready` while there is a process that answers.
    """

    def __init__(self, writer: LogWriter, task: Task, max_waiting: int) -> None:
        self._writer = writer
        self._task = msgspec.json.encode(task).decode()
        self._max_waiting = max_waiting
        self._waiting: deque[_Waiting] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._child: ChildProcess | None = None
        self._attached: ChildProcess | None = None
        self._received = b""
        self.is_ready = False
        self._asked_s: float | None = None
        self._again: asyncio.TimerHandle | None = None
        self._outage = LogOnce("inference_log.second_place.failed")
        self._started_s = self._not_before_s = 0.0

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take the event loop whose requests wait here, before `look` is called."""
        self._loop = loop

    def require_room(self) -> int:
        """Return the number of the segment that gets the next row.

        Raises:
            Overloaded: too many requests wait for the second place.
        """
        if len(self._waiting) >= self._max_waiting:
            raise Overloaded(
                f"{self._max_waiting} requests wait for the second place of their rows already; try again."
            )
        return self._writer.next_number

    def confirm(self, first: int, until_s: float) -> Pending[None]:
        """Return what is settled when all that was appended to the log is in the second place, from a segment on.

        It fails with `RowNotConfirmed` at `until_s`, of `time.perf_counter`.
        """
        loop, pending = asyncio.get_running_loop(), Pending[None]()
        timer = loop.call_later(until_s - time.perf_counter(), self._give_up, pending)
        self._waiting.append(_Waiting(first, self._writer.position, pending, timer))
        if self._asked_s is None:
            self._ask()
        return pending

    def look(self, *, is_needed: bool) -> None:
        """Start the process if a route needs it, and kill it if it does not answer. Call this once a second.

        Raises:
            OSError: no process can be started. The next look tries again.
        """
        loop, child, now_s = self._loop, self._child, time.monotonic()
        if loop is None:
            return
        if child is not None:
            asked_s = self._asked_s if self.is_ready else self._started_s
            if asked_s is not None and now_s - asked_s > _SILENT_S:
                child.kill()
            if child.has_ended():
                sentence = child.wait()
                self._not_before_s = 0.0 if now_s - self._started_s > _RAN_LONG_S else now_s + _PAUSE_S
                self._child = None
                loop.call_soon_threadsafe(self._detach, child)
                _log.warning("inference_log.second_place.ended", reason=sentence)
        if self._child is None and is_needed and now_s >= self._not_before_s:
            self._child = child = ChildProcess(_MODULE, self._task, environment=os.environ, nice=0)
            self._started_s = now_s
            loop.call_soon_threadsafe(self._attach, child)

    def close(self) -> None:
        """End the process. No request waits any more, and `look` is not called again."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()
            self._detach(child)

    def _attach(self, child: ChildProcess) -> None:
        if child is not self._child:
            return  # it has been closed meanwhile
        child.connection.setblocking(False)
        self._attached, self._received = child, b""
        asyncio.get_running_loop().add_reader(child.connection, self._read)

    def _detach(self, child: ChildProcess) -> None:
        if self._attached is child:
            self._let_go()
        child.close()

    def _let_go(self) -> None:
        """Read no more from the process. What it was asked is asked again of the next one."""
        child, self._attached = self._attached, None
        self._asked_s, self.is_ready = None, False
        if self._again is not None:
            self._again.cancel()  # the next process is asked at once
        if child is not None:
            asyncio.get_running_loop().remove_reader(child.connection)

    def _ask(self) -> None:
        """Ask about the last of those that wait, if there is one, and a process."""
        self._forget_settled()
        child = self._attached
        if child is None or not self.is_ready or not self._waiting:
            self._asked_s = None
            return
        question = Question(min(each.first for each in self._waiting), *self._waiting[-1].position)
        try:
            child.connection.send(msgspec.json.encode(question) + b"\n")
        except OSError:
            self._let_go()
        else:
            self._asked_s = time.monotonic()

    def _read(self) -> None:
        """Take what the process has sent."""
        child = self._attached
        if child is None:
            return
        try:
            received = child.connection.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received:
            self._let_go()
            return
        self._received += received
        if not self._received.endswith(b"\n"):
            return
        reply, self._received, self.is_ready = msgspec.json.decode(self._received, type=Reply), b"", True
        self._outage.note(reply.trouble)
        if reply.trouble:
            self._again = asyncio.get_running_loop().call_later(_AGAIN_AFTER_S, self._ask)
            return
        self._resume((reply.last, reply.end))
        self._ask()

    def _resume(self, position: Position) -> None:
        """Let the requests go on whose rows are before a position."""
        while self._waiting and self._waiting[0].position <= position:
            waiting = self._waiting.popleft()
            waiting.timer.cancel()
            waiting.pending.succeed(None)

    def _give_up(self, pending: Pending[None]) -> None:
        pending.fail(RowNotConfirmed(_NOT_IN_TIME))
        self._forget_settled()

    def _forget_settled(self) -> None:
        while self._waiting and self._waiting[0].pending.settled:
            self._waiting.popleft().timer.cancel()
