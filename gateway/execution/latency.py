"""How long a version takes, estimated from measurements.

A run of n instances is expected to take `scale * (fixed + n * per_row)`. The two terms are measured when the version is
loaded. The scale follows every later run. Each run counts as the shorter, in proportion, of itself and the run before
it. So one slow run changes little, because it may be a hiccup of the machine. Two slow runs in a row count.

`LatencyModel` reads no clock: durations are arguments. `measured_times` runs the model and takes the time.
"""

import time
from collections.abc import Callable

from runtimes.errors import ModelFailed
from runtimes.runtime import Runtime, example_inputs

_WEIGHT = 0.1
_LOWERED_TO = 0.98
_LEAST_S = 1e-7
_RUNS = 3
_ROWS = 16
_MOST_BYTES = 64 * 1024 * 1024
"""The size of the inputs with which a version is timed. The process that times it may have no limit of memory."""


class LatencyModel:
    """The estimate for one version in one replica. `measured_rows` is the larger number that was measured."""

    __slots__ = ("_fixed_s", "_last", "_per_row_s", "_scale", "measured_rows")

    def __init__(self, one_row_s: float, rows: int = 1, rows_s: float | None = None) -> None:
        """Take the time of one instance, and the time `rows_s` of `rows` instances together."""
        self.measured_rows = 1 if rows_s is None else rows
        if rows_s is None or rows < 2:
            self._per_row_s = 0.0
        else:
            self._per_row_s = max(rows_s - one_row_s, 0.0) / (rows - 1)
        self._fixed_s = max(one_row_s - self._per_row_s, _LEAST_S)
        self._scale = 1.0
        self._last = 1.0

    def afresh(self) -> "LatencyModel":
        """Return a model of its own with what was measured when the version was loaded, without any later run."""
        fresh = LatencyModel(self._fixed_s + self._per_row_s)
        fresh._fixed_s, fresh._per_row_s = self._fixed_s, self._per_row_s
        fresh.measured_rows = self.measured_rows
        return fresh

    def expected_s(self, rows: int) -> float:
        """Return the seconds that a run of `rows` instances is expected to take."""
        return self._scale * (self._fixed_s + rows * self._per_row_s)

    def rows_within(self, limit_s: float) -> int:
        """Return the largest number of instances that are expected to run within `limit_s`; at least one."""
        per_row_s = self._scale * self._per_row_s
        return max(1, int((limit_s - self._scale * self._fixed_s) / per_row_s)) if per_row_s > 0 else 1 << 30

    def observe(self, rows: int, duration_s: float) -> None:
        """Adjust the estimate to one more run."""
        proportion = duration_s / (self._fixed_s + rows * self._per_row_s)
        self._scale += _WEIGHT * (min(proportion, self._last) - self._scale)
        self._last = proportion

    def lower(self) -> None:
        """Lower the estimate by 2 %, because a request was rejected on account of it.

        A rejected request takes no measurement. Without this, an estimate that is wrong could reject every request for
        ever.
        """
        self._scale *= _LOWERED_TO


def measured_times(runtime: Runtime, max_batch: int) -> tuple[float, int, float]:
    """Run one instance, and several together. Return the seconds of one, the number of the others, and their seconds.

    There are at most `max_batch` of them, and no others if a request is one instance. Each time is the least of three
    runs, since the first ones warm caches.
    """
    names = [spec.name for spec in runtime.signature.outputs]

    def seconds(rows: int) -> float:
        inputs = example_inputs(runtime.signature, rows)
        return min(_seconds_of(lambda: runtime.run(inputs, names)) for _ in range(_RUNS))

    one_s = seconds(1)
    size = sum(tensor.nbytes for tensor in example_inputs(runtime.signature, 1).values())
    rows = min(_ROWS, max_batch, max(_MOST_BYTES // max(size, 1), 1)) if runtime.signature.takes_several else 1
    if rows == 1:
        return one_s, 1, one_s
    try:
        return one_s, rows, seconds(rows)
    except ModelFailed:  # the model takes one instance but not 16, so the time for each further one is unknown
        return one_s, 1, one_s


def _seconds_of(work: Callable[[], object]) -> float:
    started_s = time.perf_counter()
    work()
    return time.perf_counter() - started_s
