"""Where batches run: the Protocol, and the default, which is this process. Acts.

In the replica a batch runs on the event loop while it is quick, in a thread once it is not: a hop to a thread costs
more than a small model takes, and a slow model on the loop would hold everybody up. Which one a batch is has been
measured. Every version has threads of its own, so one that hangs keeps nobody else from running.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from gateway.execution.latency import LatencyModel
from runtimes.batching import Inputs, RequestResult, run_isolated
from runtimes.errors import ModelFailed
from runtimes.runtime import Runtime

Done = Callable[[Sequence[RequestResult], float], None]
"""Gets one outcome per request, and how many seconds the batch took."""


class Executor(Protocol):
    """Runs batches of one version. Called on the event loop, where it never blocks for long."""

    pace: LatencyModel

    def has_room(self, rows: int) -> bool:
        """Whether a batch of so many instances would start at once."""

    def rows_at_best(self) -> int:
        """How many instances a batch should have at most."""

    def start(self, inputs: Inputs, rows: Sequence[int], until_s: float | None, done: Done) -> None:
        """Runs merged requests, which are of no use after `until_s` (of `time.perf_counter`).

        Calls `done` on the event loop, be it before this returns. Raises nothing.
        """


class ReplicaExecutor:
    """The default: this process."""

    def __init__(
        self,
        runtime: Runtime,
        pace: LatencyModel,
        *,
        threads: int,
        inline_below_s: float,
        max_rows: int,
        row_by_row: bool = True,
    ) -> None:
        self.pace = pace
        self._runtime = runtime
        self._outputs = tuple(spec.name for spec in runtime.signature.outputs)
        self._threads = threads
        self._inline_below_s = inline_below_s
        self._max_rows = max_rows
        self._row_by_row = row_by_row
        self._running = 0
        self._pool: ThreadPoolExecutor | None = None

    def is_quick(self, rows: int) -> bool:
        """Whether a batch of so many instances runs on the event loop."""
        return self.pace.expected_s(rows) < self._inline_below_s

    def has_room(self, rows: int) -> bool:
        """See `Executor`."""
        return self._running < self._threads or self.is_quick(rows)

    def rows_at_best(self) -> int:
        """See `Executor`. A batch stays on the event loop if one instance does."""
        if self.is_quick(1):
            return min(self._max_rows, self.pace.rows_within(self._inline_below_s))
        return self._max_rows

    def start(self, inputs: Inputs, rows: Sequence[int], until_s: float | None, done: Done) -> None:  # noqa: ARG002  # the Protocol's; the lane has just looked
        """See `Executor`."""
        if self.is_quick(sum(rows)):
            outcomes, duration_s = self._timed(inputs, rows)
            self.pace.observe(sum(rows), duration_s)
            done(outcomes, duration_s)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="model")
        loop = asyncio.get_running_loop()
        self._running += 1
        is_given_up = False

        def run() -> None:
            outcomes, duration_s = self._timed(inputs, rows)
            loop.call_soon_threadsafe(finished, outcomes, duration_s)

        def finished(outcomes: Sequence[RequestResult], duration_s: float) -> None:
            if not is_given_up:
                self._running -= 1
                self.pace.observe(sum(rows), duration_s)
                done(outcomes, duration_s)

        try:
            self._pool.submit(run)
        except RuntimeError as error:  # no thread can be had; a thread that there is may run it all the same
            is_given_up = True
            self._running -= 1
            done([ModelFailed(f"The model could not be run: {error}.")] * len(rows), 0.0)

    def _timed(self, inputs: Inputs, rows: Sequence[int]) -> tuple[Sequence[RequestResult], float]:
        outcomes: Sequence[RequestResult]
        started_s = time.perf_counter()
        try:
            outcomes = run_isolated(self._runtime, inputs, rows, self._outputs, row_by_row=self._row_by_row)
        except BaseException as error:  # noqa: BLE001  # the wrapping's fault, or a model that ends its process: nobody may wait for ever
            outcomes = [ModelFailed(f"The model could not be run: {error!r}")] * len(rows)
        return outcomes, time.perf_counter() - started_s
