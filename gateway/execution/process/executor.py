"""Runs batches in a child process of the replica, which may crash, hang or be killed.

The process gets one batch at a time. The other requests wait in the lane, where deadlines still count. While there is
no process, batches fail at once, which opens the lane's breaker. A process that does not answer in time is killed, and
another is started.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from gateway.execution.executor import Done
from gateway.execution.latency import LatencyModel
from gateway.execution.process.child import ChildProcess
from gateway.execution.process.frames import BatchResult, FrameMessage, RunBatch, frame, outcomes_of
from gateway.execution.process.supervisor import Supervisor
from gateway.execution.process.wire import Wire
from runtimes.batching import Inputs, RequestResult
from runtimes.datatypes import Tensor
from runtimes.errors import ModelFailed
from runtimes.manifest import Example

# A process counts as hanging once a batch has taken five times as long as its latest deadline allows, and five times as
# long as such a batch usually takes. A process that is killed too early costs the seconds that loading the model takes.
_PATIENCE = 5.0
_LEAST_S = 1.0


class _Batch(NamedTuple):
    rows: Sequence[int]
    started_s: float
    done: Done
    timer: asyncio.TimerHandle


class ProcessExecutor:
    """See `gateway.execution.executor.Executor`. `end`, `close` and `close_if_unused` may be called in any thread."""

    def __init__(self, supervisor: Supervisor, latency: LatencyModel, *, max_rows: int, hang_after_s: float) -> None:
        self.latency = latency
        self.supervisor = supervisor
        self._max_rows = max_rows
        self._hang_after_s = hang_after_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connected: tuple[ChildProcess, Wire] | None = None
        self._batch: _Batch | None = None
        self._used_s = time.monotonic()
        supervisor.supervise(self._report_ended)

    @property
    def examples(self) -> Mapping[str, Example]:
        """See `Executor`."""
        return self.supervisor.examples

    def has_room(self, rows: int, inputs: Inputs) -> bool:  # noqa: ARG002  # the Protocol's signature
        """See `Executor`."""
        return self._batch is None

    def batch_limit(self, rows: int, inputs: Inputs) -> int:  # noqa: ARG002  # the Protocol's signature
        """See `Executor`."""
        return self._max_rows

    def start(self, inputs: Inputs, rows: Sequence[int], until_s: float | None, done: Done) -> None:
        """See `Executor`."""
        self._used_s = time.monotonic()
        # Set before `child` is read: the supervisor's thread sets `child` to None first and reads `_loop` afterwards.
        self._loop = asyncio.get_running_loop()
        child = self.supervisor.child
        if child is None:
            done([ModelFailed(self.supervisor.sentence)] * len(rows), 0.0)
            return
        wire, parts = self._wire_to(child), frame(RunBatch(tuple(rows), tuple(inputs)), list(inputs.values()))
        now_s = time.perf_counter()
        timer = self._loop.call_later(self._limit_s(sum(rows), until_s, now_s), self._on_hang, child)
        self._batch = _Batch(rows, now_s, done, timer)
        wire.send(parts)

    def close_if_unused(self, for_s: float) -> bool:
        """Close the executor if no batch has run for `for_s` seconds. Return True if it was closed."""
        if self._batch is None and time.monotonic() - self._used_s >= for_s:
            self.end()
            return True
        return False

    def end(self) -> None:
        """End the process without waiting for its end. Batches fail from now on."""
        self.supervisor.close(within_s=0.0)

    def close(self) -> None:
        """End the process, and wait a little for its end. Batches fail from now on."""
        self.supervisor.close()

    def _wire_to(self, child: ChildProcess) -> Wire:
        if self._connected is None or self._connected[0] is not child:
            self._connected = child, Wire(child.connection, partial(self._on_message, child), child.kill)
        return self._connected[1]

    def _limit_s(self, rows: int, until_s: float | None, now_s: float) -> float:
        """Return the seconds that a batch may take before its process counts as hanging."""
        allowed_s = self._hang_after_s if until_s is None else _PATIENCE * (until_s - now_s)
        return max(allowed_s, _PATIENCE * self.latency.expected_s(rows), _LEAST_S)

    def _on_message(self, child: ChildProcess, message: FrameMessage, tensors: Sequence[Tensor]) -> None:
        batch = self._batch
        if batch is None or not isinstance(message, BatchResult) or self.supervisor.child is not child:
            return
        self.latency.observe(sum(batch.rows), time.perf_counter() - batch.started_s)
        self._finish(outcomes_of(message, tensors), message.duration_s)

    def _on_hang(self, child: ChildProcess) -> None:
        sentence = "Its process did not answer in time and was killed; it is being started again."
        self.supervisor.discard(child, sentence)
        self._fail(sentence)

    def _report_ended(self, child: ChildProcess) -> None:
        """Tell the event loop that a process has ended. Called in the supervisor's thread."""
        try:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._on_ended, child)
                return
        except RuntimeError:  # the loop is closed, and with it the wire
            pass
        child.close()

    def _on_ended(self, child: ChildProcess) -> None:
        if self._connected is not None and self._connected[0] is child:
            self._connected[1].close()
            self._connected = None
            self._fail(self.supervisor.sentence)
        child.close()

    def _fail(self, sentence: str) -> None:
        if self._batch is not None:
            outcomes = [ModelFailed(sentence)] * len(self._batch.rows)
            self._finish(outcomes, time.perf_counter() - self._batch.started_s)

    def _finish(self, outcomes: Sequence[RequestResult], duration_s: float) -> None:
        batch, self._batch = self._batch, None
        if batch is not None:
            batch.timer.cancel()
            self._used_s = time.monotonic()
            batch.done(outcomes, duration_s)
