"""The metrics of a route: what may be reported of a decision, and in which bounds."""

from dataclasses import dataclass
from enum import StrEnum

from router.spec.formula import LATENCY_MS


class Aggregate(StrEnum):
    """Which value a decision has if several events report of it."""

    FIRST = "first"  # that of the earliest event
    LAST = "last"  # that of the latest event
    SUM = "sum"
    MIN = "min"
    MAX = "max"


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """A declared metric.

    A decision matures `window_s` seconds after it was made. If nothing was reported of it by then, its value is
    `default`. Every value lies between `low` and `high`; what several events sum up to, and what a formula gives, is
    brought into this range.

    A metric with a `formula` is computed from others, its `parts`, and is not reported itself. One that `is_label` is
    the class or the number that was true: it goes into the log and not into any sum, and has no range.
    """

    name: str
    window_s: float
    low: float = 0.0
    high: float = 1.0
    default: float = 0.0
    aggregate: Aggregate = Aggregate.LAST
    formula: str = ""
    parts: tuple[str, ...] = ()
    is_label: bool = False

    @property
    def needs_latency(self) -> bool:
        """True if its value depends on the time that the prediction took."""
        return LATENCY_MS in self.parts
