"""Runs batches inside the replica: on the event loop while they are quick, otherwise in threads.

A hop to a thread costs more than a small model takes. A slow model on the event loop would delay every other request.
The latency that was measured decides between the two. Every version has threads of its own, so a version that hangs
stops no other version.
"""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from gateway.execution.executor import Done
from gateway.execution.latency import LatencyModel
from runtimes.batching import Inputs, RequestResult, run_isolated
from runtimes.errors import ModelFailed
from runtimes.runtime import Runtime


class ReplicaExecutor:
    """The default implementation of `gateway.execution.executor.Executor`."""

    def __init__(
        self,
        runtime: Runtime,
        latency: LatencyModel,
        *,
        threads: int,
        inline_below_s: float,
        max_rows: int,
        row_by_row: bool = True,
    ) -> None:
        self.latency = latency
        self._runtime = runtime
        self._outputs = tuple(spec.name for spec in runtime.signature.outputs)
        self._threads = threads
        self._inline_below_s = inline_below_s
        self._max_rows = max_rows
        self._row_by_row = row_by_row
        self._running = 0
        self._pool: ThreadPoolExecutor | None = None

    def is_quick(self, rows: int) -> bool:
        """Return True if a batch of `rows` instances runs on the event loop."""
        return self.latency.expected_s(rows) < self._inline_below_s

    def has_room(self, rows: int) -> bool:
        """See `Executor`."""
        return self._running < self._threads or self.is_quick(rows)

    def batch_limit(self) -> int:
        """See `Executor`. If one instance runs on the event loop, a batch is kept small enough to run there as well."""
        if self.is_quick(1):
            return min(self._max_rows, self.latency.rows_within(self._inline_below_s))
        return self._max_rows

    def start(self, inputs: Inputs, rows: Sequence[int], until_s: float | None, done: Done) -> None:  # noqa: ARG002  # the Protocol's; the lane has just compared it with the clock
        """See `Executor`."""
        if self.is_quick(sum(rows)):
            outcomes, duration_s = self._run_timed(inputs, rows)
            self.latency.observe(sum(rows), duration_s)
            done(outcomes, duration_s)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="model")
        loop = asyncio.get_running_loop()
        self._running += 1
        is_given_up = False

        def run() -> None:
            outcomes, duration_s = self._run_timed(inputs, rows)
            loop.call_soon_threadsafe(finished, outcomes, duration_s)

        def finished(outcomes: Sequence[RequestResult], duration_s: float) -> None:
            if not is_given_up:
                self._running -= 1
                self.latency.observe(sum(rows), duration_s)
                done(outcomes, duration_s)

        try:
            self._pool.submit(run)
        except RuntimeError as error:  # no new thread could be started; an existing one may still run the batch
            is_given_up = True
            self._running -= 1
            done([ModelFailed(f"The model could not be run: {error}.")] * len(rows), 0.0)

    def _run_timed(self, inputs: Inputs, rows: Sequence[int]) -> tuple[Sequence[RequestResult], float]:
        outcomes: Sequence[RequestResult]
        started_s = time.perf_counter()
        try:
            outcomes = run_isolated(self._runtime, inputs, rows, self._outputs, row_by_row=self._row_by_row)
        except BaseException as error:  # noqa: BLE001  # our own bug, or a model that calls sys.exit(): the waiting requests must still get an error
            outcomes = [ModelFailed(f"The model could not be run: {error!r}")] * len(rows)
        return outcomes, time.perf_counter() - started_s
