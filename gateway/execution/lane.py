"""The queue before one version: requests come in, batches go out. Acts.

A batch is formed from what waits when it can start: on the event loop at the end of the turn in which its requests
arrived, in a thread, a process or a dedicated application as soon as one is free. Nobody is made to wait for company,
unless his route asks for it. A request whose deadline cannot be met is not started; one whose deadline passes while it
waits or runs is answered then.
"""

import asyncio
import math
import time
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import structlog

from gateway.errors import TooLate
from gateway.eventloop.driver import Pending
from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.execution.breaker import Breaker
from gateway.execution.executor import Executor
from gateway.telemetry.statistics import LaneStatistics
from registry_sync.catalogue import VersionKey
from runtimes.batching import Inputs, RequestResult, merge, shape_key
from runtimes.datatypes import Tensor
from runtimes.errors import ModelFailed
from runtimes.manifest import Placement

_log = structlog.get_logger()

_MOST_AT_ONCE_S = 0.01  # of batches on the event loop, before it looks after others


class LaneKey(NamedTuple):
    """One version in one place. A shadow has a lane of its own: what it does to it does not reach a primary."""

    version: VersionKey
    placement: Placement
    is_shadow: bool = False


class Job(Pending[Sequence[Tensor]]):
    """One request before one version. `deadline_s` and `queued_s` are of `time.perf_counter`."""

    __slots__ = ("deadline_s", "inputs", "model_s", "probe", "queued_s", "rows", "timer")

    def __init__(
        self, inputs: Inputs, rows: int, deadline_s: float | None, queued_s: float, *, probe: bool = False
    ) -> None:
        super().__init__()
        self.probe = probe
        self.inputs = inputs
        self.rows = rows
        self.deadline_s = deadline_s
        self.queued_s = queued_s
        self.model_s = 0.0
        self.timer: asyncio.TimerHandle | None = None

    def abandon(self) -> None:
        """See `Pending.abandon`. The timer would keep the inputs until the deadline, which may be an hour away."""
        super().abandon()
        if self.timer is not None:
            self.timer.cancel()


class Lane:
    """One per version and replica. Everything but its making happens on the event loop."""

    def __init__(
        self, key: LaneKey, executor: Executor, turn: EndOfTurn, *, is_batching: bool, has_one_likeness: bool
    ) -> None:
        self.key = key
        self.executor = executor
        self.breaker = Breaker()
        self.statistics = LaneStatistics()
        self._turn = turn
        self._is_batching = is_batching
        self._has_one_likeness = has_one_likeness
        self._queue: list[Job] = []
        self._is_scheduled = False
        self._waiting: asyncio.TimerHandle | None = None
        self._rows_waiting = 0

    def submit(
        self, inputs: Inputs, rows: int, deadline_s: float | None = None, wait_s: float = 0.0, *, probe: bool = False
    ) -> Job:
        """Queues a request; await what this returns for the outputs. It may wait for company for `wait_s`.

        The replica's own `probe` is not counted in the statistics.

        Raises:
            TooLate: there is less time left than the model takes.
        """
        now_s = time.perf_counter()
        if deadline_s is not None and self._is_hopeless(rows, deadline_s, now_s):
            self.executor.pace.lower()
            raise TooLate("There is less time left than the model takes; it was not started.")
        job = Job(inputs, rows, deadline_s, now_s, probe=probe)
        may_wait = wait_s > 0 and self._is_batching and (not self._queue or self._waiting is not None)
        self._queue.append(job)
        if not self._is_scheduled:
            self._rows_waiting += rows
            if may_wait and self._rows_waiting < self.executor.rows_at_best():
                self._wait(wait_s if deadline_s is None else min(wait_s, (deadline_s - now_s) / 2))
            else:
                self._is_scheduled = True
                self._turn.call(self._run)
        return job

    def _wait(self, wait_s: float) -> None:
        """Runs after `wait_s`, unless it will earlier."""
        loop = asyncio.get_running_loop()
        if self._waiting is not None:
            if self._waiting.when() <= loop.time() + wait_s:
                return
            self._waiting.cancel()
        self._waiting = loop.call_later(wait_s, self._run)

    def _run(self) -> None:
        """Starts batches until nobody waits, there is no room, or the event loop has others to look after."""
        self._is_scheduled = True  # whoever comes meanwhile finds it running
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        self._rows_waiting = 0
        self._queue = [job for job in self._queue if not job.settled]
        try:
            is_interrupted = self._start_batches()
        finally:
            self._is_scheduled = False
        if is_interrupted:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._run)
        for job in self._queue:
            self._watch(job)

    def _start_batches(self) -> bool:
        """Whether there would be more to start, after a pause."""
        until_s = time.perf_counter() + _MOST_AT_ONCE_S
        while self._queue and self.executor.has_room(self._queue[0].rows):
            jobs = self._next_batch()
            if jobs:
                self._start(jobs)
            if self._queue and time.perf_counter() > until_s:
                return True
        return False

    def _next_batch(self) -> list[Job]:
        """Takes from the queue those who go together, oldest first; whoever is late or gone leaves it, too."""
        now_s = time.perf_counter()
        queue, self._queue = self._queue, []
        batch: list[Job] = []
        late: list[Job] = []
        rows, most = 0, self.executor.rows_at_best() if self._is_batching else 0
        until_s = math.inf
        for position, job in enumerate(queue):
            if job.settled:
                continue
            if job.deadline_s is not None and self._is_hopeless(job.rows, job.deadline_s, now_s):
                late.append(job)
            elif not batch or (rows + job.rows <= most and self._are_alike(batch[0], job)):
                earliest_s = until_s if job.deadline_s is None else min(until_s, job.deadline_s)
                if batch and self._is_hopeless(rows + job.rows, earliest_s, now_s):
                    self._queue.append(job)  # together they would be late, one after the other they may not
                    continue
                batch.append(job)
                rows += job.rows
                until_s = earliest_s
            else:
                self._queue.append(job)
            if rows >= most and batch:
                self._queue += queue[position + 1 :]
                break
        for job in late:
            self.executor.pace.lower()
            job.fail(TooLate("The deadline would have passed before the model had answered; it was not started."))
        return batch

    def _start(self, jobs: list[Job]) -> None:
        rows = [job.rows for job in jobs]
        settle = partial(self._settle, jobs, time.perf_counter())
        try:
            self.executor.start(merge([job.inputs for job in jobs]), rows, _latest_s(jobs), settle)
        except Exception as error:  # noqa: BLE001  # no memory for all of them, say: nobody may wait for ever
            _log.exception("gateway.lane.failed", lane=str(self.key.version))
            settle([ModelFailed(f"The batch could not be run: {error!r}")] * len(jobs), 0.0)
        for job in jobs:
            self._watch(job)

    def _watch(self, job: Job) -> None:
        """Answers a job that waits beyond this turn when its deadline passes."""
        if job.deadline_s is not None and job.timer is None and not job.settled:
            left_s = max(job.deadline_s - time.perf_counter(), 0.0)
            job.timer = asyncio.get_running_loop().call_later(left_s, _expire, job)

    def _settle(
        self, jobs: Sequence[Job], started_s: float, outcomes: Sequence[RequestResult], duration_s: float
    ) -> None:
        """Hands every job its outcome, and starts what has come to wait meanwhile."""
        self._count(jobs, started_s, outcomes, duration_s)
        for job, outcome in zip(jobs, outcomes, strict=True):
            job.model_s = duration_s
            if job.timer is not None:
                job.timer.cancel()
            if isinstance(outcome, Exception):
                job.fail(outcome)
            else:
                job.succeed(outcome)
        if self._queue and not self._is_scheduled and self._waiting is None:
            self._is_scheduled = True
            self._turn.call(self._run)

    def _count(
        self, jobs: Sequence[Job], started_s: float, outcomes: Sequence[RequestResult], duration_s: float
    ) -> None:
        statistics, now_s, is_counted = self.statistics, time.perf_counter(), False
        for job, outcome in zip(jobs, outcomes, strict=True):
            if job.probe:
                continue
            is_counted = True
            statistics.instances += job.rows
            statistics.queued_s += started_s - job.queued_s
            if isinstance(outcome, Exception):
                statistics.failed += 1
                statistics.failed_s += now_s - job.queued_s
            else:
                statistics.succeeded += 1
                statistics.succeeded_s += now_s - job.queued_s
        if is_counted:
            statistics.runs += 1
            statistics.model_s += duration_s

    def _is_hopeless(self, rows: int, deadline_s: float, now_s: float) -> bool:
        return deadline_s - now_s < self.executor.pace.expected_s(rows)

    def _are_alike(self, one: Job, other: Job) -> bool:
        return self._has_one_likeness or shape_key(one.inputs) == shape_key(other.inputs)


def _latest_s(jobs: Sequence[Job]) -> float | None:
    """When nobody among them waits any more; None if somebody waits for ever."""
    latest_s = 0.0
    for job in jobs:
        if job.deadline_s is None:
            return None
        latest_s = max(latest_s, job.deadline_s)
    return latest_s


def _expire(job: Job) -> None:
    job.fail(TooLate("The model did not answer within the deadline."))
