"""The dynamic batcher of one version.

Requests wait in a queue. A batch is formed from the queue when it can start: on the event loop at the end of the turn
in which its requests arrived, or in a thread, a process or a dedicated application as soon as one is free. No request
is held back to fill a batch, unless its route asks for it with `batch_wait`.

A request is not started if its deadline cannot be met. If the deadline passes while the request waits or runs, it gets
an error at that moment.
"""

import asyncio
import math
import time
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import structlog

from gateway.errors import TooLate
from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.execution.breaker import Breaker
from gateway.execution.executor import Executor
from gateway.execution.job import Job
from gateway.execution.lane_counts import count_run
from gateway.execution.lateness import expire, fail_late, is_refused, latest_s
from gateway.execution.paces import Paces, observe
from gateway.execution.work import Work
from gateway.telemetry.statistics import LaneStatistics
from registry_sync.version import VersionKey
from runtimes.batching import Inputs, RequestResult, merge, rows_to_merge, shape_key
from runtimes.errors import ModelFailed
from runtimes.manifest import Placement, Signature

_log = structlog.get_logger()

_LONGEST_RUN_S = 0.01  # batches run on the event loop for so long, then other callbacks get their turn


class LaneKey(NamedTuple):
    """One version in one placement, behind its own signature or behind the one that callers of a route see.

    A shadow gets its own lane, so it shares no queue, breaker or thread with a primary.
    """

    version: VersionKey
    placement: Placement
    is_shadow: bool = False
    seen: Signature | None = None


class Lane:
    """The lane of one `LaneKey` in one replica. It may be built in any thread; the rest happens on the event loop."""

    def __init__(
        self,
        key: LaneKey,
        executor: Executor,
        end_of_turn: EndOfTurn,
        *,
        is_batching: bool,
        has_one_shape_key: bool,
        unbatched_because: str = "",
    ) -> None:
        """Build a lane. With `has_one_shape_key`, all requests have the same shape key, so it is not compared.

        `unbatched_because` says why requests are never merged, for readers of the status.
        """
        self.key = key
        self.executor = executor
        self.breaker = Breaker()
        self.paces = Paces(executor)
        self.statistics = LaneStatistics()
        self.unbatched_because = unbatched_because
        self._work = Work()
        self._end_of_turn = end_of_turn
        self._is_batching = is_batching
        self._has_one_shape_key = has_one_shape_key
        self._queue: list[Job] = []
        self._is_scheduled = False
        self._wait_timer: asyncio.TimerHandle | None = None
        self._rows_waiting = 0

    def submit(
        self,
        inputs: Inputs,
        rows: int,
        deadline_s: float | None = None,
        wait_s: float = 0.0,
        *,
        route: str = "",
        probe: bool = False,
    ) -> Job:
        """Queue a request of a route. It may be held back for `wait_s` to share its batch with later ones.

        The replica's own `probe` is not counted in the statistics.

        Raises:
            TooLate: there is less time left than the model takes.
        """
        now_s, pace = time.perf_counter(), self.paces.of(route)
        job = Job(inputs, rows, deadline_s, now_s, pace, probe=probe)
        if deadline_s is not None and is_refused(job, now_s):
            raise TooLate(
                "There is less time left than the model takes; it was not started.", is_not_started=deadline_s > now_s
            )
        may_wait = wait_s > 0 and self._is_batching and (not self._queue or self._wait_timer is not None)
        self._queue.append(job)
        if not self._is_scheduled:
            self._rows_waiting += rows
            if may_wait and self._rows_waiting < self._most_rows(job):
                self._wait(wait_s if deadline_s is None else min(wait_s, (deadline_s - now_s) / 2))
            else:
                self._is_scheduled = True
                self._end_of_turn.call(self._run)
        return job

    def _wait(self, wait_s: float) -> None:
        """Call `_run` after `wait_s`, unless it is going to be called earlier."""
        loop = asyncio.get_running_loop()
        if self._wait_timer is not None:
            if self._wait_timer.when() <= loop.time() + wait_s:
                return
            self._wait_timer.cancel()
        self._wait_timer = loop.call_later(wait_s, self._run)

    def _run(self) -> None:
        """Start batches until the queue is empty, there is no room, or `_LONGEST_RUN_S` has passed."""
        self._is_scheduled = True  # so that requests which arrive meanwhile do not schedule it again
        if self._wait_timer is not None:
            self._wait_timer.cancel()
            self._wait_timer = None
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
            if job.deadline_s is not None and job.worked_before is None:
                job.worked_before = self._work.until(time.perf_counter(), job.pace)
            self._watch(job)

    def _start_batches(self) -> bool:
        """Start batches. Return True if more could be started after other callbacks had their turn."""
        until_s = time.perf_counter() + _LONGEST_RUN_S
        while self._queue and self._has_room(self._queue[0]):
            jobs = self._next_batch()
            if jobs:
                self._start(jobs)
            if self._queue and time.perf_counter() > until_s:
                return True
        return False

    def _has_room(self, job: Job) -> bool:
        return self.executor.has_room(job.rows, job.inputs)

    def _most_rows(self, job: Job) -> int:
        return rows_to_merge(job.inputs, job.rows, self.executor.batch_limit(job.rows, job.inputs))

    def _next_batch(self) -> list[Job]:
        """Take jobs that can share a batch from the queue, oldest first.

        Jobs that are abandoned or can no longer meet their deadline are removed from the queue as well.
        """
        now_s = time.perf_counter()
        queue, self._queue = self._queue, []
        batch: list[Job] = []
        late: list[Job] = []
        rows, most = 0, self._most_rows(queue[0]) if self._is_batching and len(queue) > 1 else 0
        until_s = math.inf
        for position, job in enumerate(queue):
            if job.settled:
                continue
            if job.deadline_s is not None and is_refused(job, now_s):
                late.append(job)
            elif not batch or (rows + job.rows <= most and self._can_merge(batch[0], job)):
                earliest_s = until_s if job.deadline_s is None else min(until_s, job.deadline_s)
                if batch and earliest_s - now_s < job.pace.expected_s(rows + job.rows):
                    self._queue.append(job)  # in one batch they would be late, in two batches they may be in time
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
            fail_late(job, is_others=self._work.is_others(now_s, job))
        return batch

    def _start(self, jobs: list[Job]) -> None:
        rows, started_s = [job.rows for job in jobs], time.perf_counter()
        settle = partial(self._settle, jobs, started_s)
        for job in jobs:
            job.began_s = started_s
        try:
            self.executor.start(merge([job.inputs for job in jobs]), rows, latest_s(jobs), settle)
        except Exception as error:  # noqa: BLE001  # such as too little memory to merge: each request must get an error
            _log.exception("gateway.lane.failed", lane=str(self.key.version))
            settle([ModelFailed(f"The batch could not be run: {error!r}")] * len(jobs), 0.0)
        if not jobs[0].settled:  # it has not run on the event loop
            self._work.begin(jobs, started_s)
        for job in jobs:
            job.worked_before = None
            self._watch(job)

    def _watch(self, job: Job) -> None:
        """Set the timer of a job that was not settled in this turn, so that it fails when its deadline passes."""
        if job.deadline_s is not None and job.timer is None and not job.settled:
            left_s = max(job.deadline_s - time.perf_counter(), 0.0)
            job.timer = asyncio.get_running_loop().call_later(left_s, self._expire, job)

    def _expire(self, job: Job) -> None:
        expire(job, is_others=self._work.is_others(time.perf_counter(), job))

    def _settle(
        self, jobs: Sequence[Job], started_s: float, outcomes: Sequence[RequestResult], duration_s: float
    ) -> None:
        """Give every job its outcome, and schedule the jobs that have queued up meanwhile."""
        now_s = time.perf_counter()
        count_run(self.statistics, jobs, outcomes, started_s=started_s, duration_s=duration_s, now_s=now_s)
        self._work.end(jobs, duration_s)
        if len(jobs) == 1:  # the usual case, which need not pay for a set
            jobs[0].pace.observe(jobs[0].rows, duration_s)
        else:
            observe([job.pace for job in jobs], sum([job.rows for job in jobs]), duration_s)
        for job, outcome in zip(jobs, outcomes, strict=True):
            job.model_s = duration_s
            if job.timer is not None:
                job.timer.cancel()
            if isinstance(outcome, Exception):
                job.fail(outcome)
            else:
                job.succeed(outcome)
        if self._queue and not self._is_scheduled and self._wait_timer is None:
            self._is_scheduled = True
            self._end_of_turn.call(self._run)

    def _can_merge(self, one: Job, other: Job) -> bool:
        return self._has_one_shape_key or shape_key(one.inputs) == shape_key(other.inputs)
