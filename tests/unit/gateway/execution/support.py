"""A clock that jumps, and an executor that ends its batches when the test says so."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np

from runtimes.batching import split
from runtimes.errors import InputRefused


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop that never waits: where others would, its clock jumps.

    While `is_busy` returns True, a thread is at work that takes no simulated time, and the clock stands still.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1000.0
        self.is_busy: Callable[[], bool] = lambda: False
        select = self._selector.select

        def jump(timeout: float | None) -> list[Any]:
            while timeout != 0 and self.is_busy():
                if events := select(0.001):
                    return events
            assert timeout is not None, "everything waits, and nothing will ever happen"
            self.now_s += max(timeout, 0.0)
            return select(0)

        self._selector.select = jump

    def time(self) -> float:
        return self.now_s


def simulated(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run a coroutine in simulated time, which the lanes use as well."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        clock = SimpleNamespace(perf_counter=runner.get_loop().time)
        with patch("gateway.execution.lane.time", clock):
            return runner.run(work())


class FixedLatency:
    """Expects every row to take `per_row_s`, whatever was measured."""

    def __init__(self, per_row_s: float = 0.0) -> None:
        self.per_row_s = per_row_s

    def expected_s(self, rows: int) -> float:
        """See `gateway.execution.latency.LatencyModel`."""
        return rows * self.per_row_s

    def afresh(self) -> "FixedLatency":
        """Return itself: what a test changes counts for every route."""
        return self

    def observe(self, rows: int, duration_s: float) -> None:
        """Change nothing."""

    def lower(self) -> None:
        """Change nothing."""


class HeldExecutor:
    """Doubles its input and refuses NaN. A batch ends when the test says so, or at once if `is_quick`."""

    def __init__(self, threads: int = 1, most: int = 8, expected_s: float = 0.0, *, is_quick: bool = False) -> None:
        self.latency: Any = FixedLatency(expected_s)
        self.held: list[tuple[Mapping[str, Any], Sequence[int], Callable[..., None]]] = []
        self.batches: list[list[int]] = []
        self.most_held = 0
        self._threads, self._most, self._is_quick = threads, most, is_quick

    def has_room(self, rows: int, inputs: Any) -> bool:  # noqa: ARG002  # the Protocol's
        """See `gateway.execution.executor.Executor`."""
        return self._is_quick or len(self.held) < self._threads

    def batch_limit(self, rows: int, inputs: Any) -> int:  # noqa: ARG002  # the Protocol's
        """See `gateway.execution.executor.Executor`."""
        return self._most

    def start(
        self,
        inputs: Any,
        rows: Sequence[int],
        until_s: float | None,  # noqa: ARG002  # the Protocol's
        done: Callable[..., None],
    ) -> None:
        """See `gateway.execution.executor.Executor`."""
        assert len(inputs["X"]) == sum(rows)
        self.batches.append(list(rows))
        self.held.append((inputs, rows, done))
        self.most_held = max(self.most_held, len(self.held))
        if self._is_quick:
            self.end(len(self.held) - 1)

    def end(self, index: int = 0, *, duration_s: float | None = None) -> None:
        """End one of the batches that are running. By default it took what was expected."""
        inputs, rows, done = self.held.pop(index)
        if duration_s is None:
            duration_s = max(0.001, self.latency.expected_s(sum(rows)))
        parts = [part for (part,) in split([inputs["X"]], rows)]
        done([InputRefused("NaN") if np.isnan(part).any() else [part * 2] for part in parts], duration_s)
