"""Runs batches in an application of their own, wherever that is. Acts.

Batches are formed before the hop, so one hop serves many requests; as many are under way as keep its processes busy,
the rest waits in the lane, where a deadline still counts. Where there are several processes, a batch that takes much
longer than such batches do is sent once more, and the first answer counts: at most one batch in twenty.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog

from gateway.execution.executor import Done
from gateway.execution.latency import LatencyModel
from runtimes.batching import Inputs, RequestResult
from runtimes.errors import ModelFailed

_log = structlog.get_logger()

_BATCHES_PER_PROCESS = 2  # one that runs, one that is on its way
_HEDGE_AFTER_RUNS = 4.0
_HEDGE_LEAST_S = 0.01
_HEDGE_SHARE = 0.05
_HEDGES_SAVED = 3.0

Remote = Callable[[Inputs, Sequence[int], float | None], Awaitable[Sequence[RequestResult]]]
"""Runs merged requests elsewhere, unless it is too late: the time is of the wall clock, in seconds since the epoch."""


class DedicatedExecutor:
    """See `gateway.execution.executor.Executor`."""

    def __init__(self, remote: Remote, pace: LatencyModel, *, max_rows: int, processes: int) -> None:
        self.pace = pace
        self._remote = remote
        self._max_rows = max_rows
        self._most_running = processes * _BATCHES_PER_PROCESS
        self._may_hedge = processes > 1
        self._hedges = _HEDGES_SAVED
        self._running = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def has_room(self, rows: int) -> bool:  # noqa: ARG002  # the Protocol's signature
        """See `Executor`."""
        return self._running < self._most_running

    def rows_at_best(self) -> int:
        """See `Executor`."""
        return self._max_rows

    def start(self, inputs: Inputs, rows: Sequence[int], until_s: float | None, done: Done) -> None:
        """See `Executor`."""
        self._running += 1
        task = asyncio.get_running_loop().create_task(self._run(inputs, rows, until_s, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, inputs: Inputs, rows: Sequence[int], until_s: float | None, done: Done) -> None:
        started_s = time.perf_counter()
        outcomes: Sequence[RequestResult]
        until_wall_s = None if until_s is None else time.time() + until_s - started_s
        try:
            outcomes = await self._hedged(inputs, rows, until_wall_s)
        except Exception as error:  # noqa: BLE001  # whatever Ray raises: the process died, is full, or is gone
            _log.warning("gateway.dedicated.failed", error=repr(error))
            outcomes = [ModelFailed("The model's own application did not answer; its log says why.")] * len(rows)
        finally:
            self._running -= 1
        duration_s = time.perf_counter() - started_s
        self.pace.observe(sum(rows), duration_s)
        done(outcomes, duration_s)

    async def _hedged(self, inputs: Inputs, rows: Sequence[int], until_wall_s: float | None) -> Sequence[RequestResult]:
        first = asyncio.ensure_future(self._remote(inputs, rows, until_wall_s))
        if not self._may_hedge:
            return await first
        self._hedges = min(self._hedges + _HEDGE_SHARE, _HEDGES_SAVED)
        patience_s = max(_HEDGE_LEAST_S, _HEDGE_AFTER_RUNS * self.pace.expected_s(sum(rows)))
        await asyncio.wait((first,), timeout=patience_s)
        if first.done() or self._hedges < 1:
            return await first
        self._hedges -= 1
        return await _first_answer(first, asyncio.ensure_future(self._remote(inputs, rows, until_wall_s)))


async def _first_answer(*attempts: asyncio.Future[Sequence[RequestResult]]) -> Sequence[RequestResult]:
    """What the first of them answers that does not raise; if all raise, what the last one raises."""
    waiting = set(attempts)
    try:
        while True:
            finished, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            answered = [attempt for attempt in finished if attempt.exception() is None]
            if answered or not waiting:
                return (answered or list(finished))[0].result()
    finally:
        for attempt in waiting:
            attempt.cancel()
