"""Runs batches inside the replica: on the event loop while they are quick, otherwise in threads.

A hop to a thread costs more than a small model takes. A slow model on the event loop would delay every other request.
The latency that was measured and the size of the input decide between the two. Every version has threads of its own,
so a version that hangs stops no other version.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from gateway.errors import BrokenOff
from gateway.eventloop.interruption import INTERRUPTION
from gateway.execution.executor import Done
from gateway.execution.inline_bound import InlineBound, elements_of
from gateway.execution.latency import LatencyModel
from runtimes.batching import Inputs, RequestResult, run_isolated
from runtimes.errors import ModelFailed
from runtimes.manifest import Example
from runtimes.runtime import Runtime, example_inputs


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
        examples: Mapping[str, Example] | None = None,
    ) -> None:
        self.latency = latency
        self.examples = examples or {}
        self._runtime = runtime
        self._outputs = tuple(spec.name for spec in runtime.signature.outputs)
        self._threads = threads
        self._inline_below_s = inline_below_s
        self._max_rows = max_rows
        self._row_by_row = row_by_row
        self._running = 0
        self._pool: ThreadPoolExecutor | None = None
        one, several = 1, latency.measured_rows
        self._bound = InlineBound(
            inline_below_s,
            elements_of(example_inputs(runtime.signature, one)),
            latency.expected_s(one),
            elements_of(example_inputs(runtime.signature, several)),
            latency.expected_s(several),
        )

    def is_quick(self, rows: int, inputs: Inputs) -> bool:
        """Return True if a batch of `rows` instances runs on the event loop."""
        return self._is_quick(rows, elements_of(inputs))

    def has_room(self, rows: int, inputs: Inputs) -> bool:
        """See `Executor`."""
        return self._running < self._threads or self.is_quick(rows, inputs)

    def batch_limit(self, rows: int, inputs: Inputs) -> int:
        """See `Executor`. If the request runs on the event loop, a batch is kept small enough to run there as well."""
        elements, most = elements_of(inputs), self._bound.most
        if elements > most or self.latency.expected_s(1) >= self._inline_below_s:
            return self._max_rows
        in_bound = int(most * rows / elements) if elements else self._max_rows
        return max(1, min(self._max_rows, self.latency.rows_within(self._inline_below_s), in_bound))

    def start(self, inputs: Inputs, rows: Sequence[int], until_s: float | None, done: Done) -> None:  # noqa: ARG002  # the Protocol's; the lane has just compared it with the clock
        """See `Executor`."""
        elements = elements_of(inputs)
        if self._is_quick(sum(rows), elements):
            outcomes, duration_s = self._run_timed(inputs, rows, on_loop=True)
            self._observe(sum(rows), elements, duration_s)
            done(outcomes, duration_s)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="model")
        loop = asyncio.get_running_loop()
        self._running += 1
        is_given_up = False

        def run() -> None:
            outcomes, duration_s = self._run_timed(inputs, rows, on_loop=False)
            loop.call_soon_threadsafe(finished, outcomes, duration_s)

        def finished(outcomes: Sequence[RequestResult], duration_s: float) -> None:
            if not is_given_up:
                self._running -= 1
                self._observe(sum(rows), elements, duration_s)
                done(outcomes, duration_s)

        try:
            self._pool.submit(run)
        except RuntimeError as error:  # no new thread could be started; an existing one may still run the batch
            is_given_up = True
            self._running -= 1
            done([ModelFailed(f"The model could not be run: {error}.")] * len(rows), 0.0)

    def _is_quick(self, rows: int, elements: float) -> bool:
        return elements <= self._bound.most and self.latency.expected_s(rows) < self._inline_below_s

    def _observe(self, rows: int, elements: float, duration_s: float) -> None:
        self.latency.observe(rows, duration_s)
        self._bound.observe(elements, duration_s)

    def _run_timed(
        self, inputs: Inputs, rows: Sequence[int], *, on_loop: bool
    ) -> tuple[Sequence[RequestResult], float]:
        outcomes: Sequence[RequestResult]
        started_s = time.perf_counter()
        try:
            outcomes = INTERRUPTION.run(self._run, inputs, rows) if on_loop else self._run(inputs, rows)
        except BrokenOff:
            self._bound.close()
            outcomes = [ModelFailed("The model hung, and the watchdog broke it off.")] * len(rows)
        except BaseException as error:  # noqa: BLE001  # our own bug, or a model that calls sys.exit(): the waiting requests must still get an error
            outcomes = [ModelFailed(f"The model could not be run: {error!r}")] * len(rows)
        return outcomes, time.perf_counter() - started_s

    def _run(self, inputs: Inputs, rows: Sequence[int]) -> Sequence[RequestResult]:
        return run_isolated(self._runtime, inputs, rows, self._outputs, row_by_row=self._row_by_row)
