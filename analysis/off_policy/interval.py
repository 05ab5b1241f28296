"""How far an estimate may be off."""

from typing import NamedTuple

from scipy import stats  # type: ignore[import-untyped]

LEVEL = 0.95


class Interval(NamedTuple):
    """The two ends of an interval that covers the truth with a probability of `LEVEL`, about."""

    low: float
    high: float


def interval(value: float, standard_error: float, degrees_of_freedom: int) -> Interval:
    """Return the interval of an estimate whose error is about normal, by Student's distribution."""
    quantile = float(stats.t.ppf((1 + LEVEL) / 2, max(degrees_of_freedom, 1)))
    return Interval(value - quantile * standard_error, value + quantile * standard_error)
