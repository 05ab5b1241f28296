"""Runs batches in a process of this replica's own, which may crash, hang or be killed. Acts, on the event loop.

One batch at a time; what waits, waits in the lane, where a deadline still counts. While there is no process, batches
fail at once, which opens the lane's breaker. A process that does not answer is killed, and another is started.
"""

import asyncio
import time
from collections.abc import Sequence
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

# A process may take so many times the time that its batch's caller gives it, or so many times what it usually takes,
# before it counts as hanging; killed too early, it costs the seconds that loading the model takes.
_PATIENCE = 5.0
_LEAST_S = 1.0


class _Batch(NamedTuple):
    rows: Sequence[int]
    started_s: float
    done: Done
    timer: asyncio.TimerHandle


class ProcessExecutor:
    """See `gateway.execution.executor.Executor`. Closed by whoever closes its lane, in any thread."""

    def __init__(self, keeper: Supervisor, pace: LatencyModel, *, max_rows: int, hang_after_s: float) -> None:
        self.pace = pace
        self._keeper = keeper
        self._max_rows = max_rows
        self._hang_after_s = hang_after_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reached: tuple[ChildProcess, Wire] | None = None
        self._batch: _Batch | None = None
        self._used_s = time.monotonic()
        keeper.keep(self._tell_ended)

    def has_room(self, rows: int) -> bool:  # noqa: ARG002  # the Protocol's signature
        """See `Executor`."""
        return self._batch is None

    def rows_at_best(self) -> int:
        """See `Executor`."""
        return self._max_rows

    def start(self, inputs: Inputs, rows: Sequence[int], until_s: float | None, done: Done) -> None:
        """See `Executor`."""
        self._used_s = time.monotonic()
        # Known before the child is looked at: whoever takes the child away looks at it afterwards.
        self._loop = asyncio.get_running_loop()
        child = self._keeper.child
        if child is None:
            done([ModelFailed(self._keeper.sentence)] * len(rows), 0.0)
            return
        wire, parts = self._wire_to(child), frame(RunBatch(tuple(rows), tuple(inputs)), list(inputs.values()))
        now_s = time.perf_counter()
        timer = self._loop.call_later(self._limit_s(sum(rows), until_s, now_s), self._hung, child)
        self._batch = _Batch(rows, now_s, done, timer)
        wire.send(parts)

    def close_if_unused(self, for_s: float) -> bool:
        """Closes it if no batch has run for so long. Whether it did."""
        if self._batch is None and time.monotonic() - self._used_s >= for_s:
            self.close()
            return True
        return False

    def close(self) -> None:
        """Ends the process. Batches fail from now on."""
        self._keeper.close()

    def _wire_to(self, child: ChildProcess) -> Wire:
        if self._reached is None or self._reached[0] is not child:
            self._reached = child, Wire(child.connection, partial(self._answered, child), child.kill)
        return self._reached[1]

    def _limit_s(self, rows: int, until_s: float | None, now_s: float) -> float:
        """How long a batch may take before its process counts as hanging."""
        allowed_s = self._hang_after_s if until_s is None else _PATIENCE * (until_s - now_s)
        return max(allowed_s, _PATIENCE * self.pace.expected_s(rows), _LEAST_S)

    def _answered(self, child: ChildProcess, message: FrameMessage, tensors: Sequence[Tensor]) -> None:
        batch = self._batch
        if batch is None or not isinstance(message, BatchResult) or self._keeper.child is not child:
            return
        self.pace.observe(sum(batch.rows), time.perf_counter() - batch.started_s)
        self._finish(outcomes_of(message, tensors), message.duration_s)

    def _hung(self, child: ChildProcess) -> None:
        sentence = "Its process did not answer in time and was killed; it is being started again."
        self._keeper.discard(child, sentence)
        self._fail(sentence)

    def _tell_ended(self, child: ChildProcess) -> None:
        """Called in the keeper's thread."""
        try:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._ended, child)
                return
        except RuntimeError:  # the loop has been closed, and so has everything that was registered with it
            pass
        child.close()

    def _ended(self, child: ChildProcess) -> None:
        if self._reached is not None and self._reached[0] is child:
            self._reached[1].close()
            self._reached = None
            self._fail(self._keeper.sentence)
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
