"""How long a version takes, as measured. Decides; durations are arguments.

A run of n instances is expected to take `scale * (fixed + n * per_row)`. The two terms are measured when the version
is loaded; the scale follows every run since. A run counts as the shorter, in proportion, of itself and the one
before: a single hiccup of the machine says nothing of the model, two slow runs do.
"""

_WEIGHT = 0.1
_DOUBT = 0.98
_LEAST_S = 1e-7


class LatencyModel:
    """One per version and replica."""

    __slots__ = ("_fixed_s", "_last", "_per_row_s", "_scale")

    def __init__(self, one_row_s: float, rows: int = 1, rows_s: float | None = None) -> None:
        """`one_row_s` is what one instance took, `rows_s` what `rows` instances took together."""
        if rows_s is None or rows < 2:
            self._per_row_s = 0.0
        else:
            self._per_row_s = max(rows_s - one_row_s, 0.0) / (rows - 1)
        self._fixed_s = max(one_row_s - self._per_row_s, _LEAST_S)
        self._scale = 1.0
        self._last = 1.0

    def expected_s(self, rows: int) -> float:
        """Seconds that a run of so many instances will take."""
        return self._scale * (self._fixed_s + rows * self._per_row_s)

    def rows_within(self, limit_s: float) -> int:
        """Instances of which a run is expected to take no longer than that; at least one."""
        per_row_s = self._scale * self._per_row_s
        return max(1, int((limit_s - self._scale * self._fixed_s) / per_row_s)) if per_row_s > 0 else 1 << 30

    def observe(self, rows: int, duration_s: float) -> None:
        """Takes one more run into account."""
        proportion = duration_s / (self._fixed_s + rows * self._per_row_s)
        self._scale += _WEIGHT * (min(proportion, self._last) - self._scale)
        self._last = proportion

    def lower(self) -> None:
        """Somebody was refused because of what is expected. If nobody is let in, nobody would ever prove it wrong."""
        self._scale *= _DOUBT
