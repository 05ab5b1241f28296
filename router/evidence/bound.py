"""How strongly counts speak against "the rate of events is at most a bound", and for it. No other arm is involved."""

import math
from collections.abc import Iterable

import numpy as np

from router.evidence.evidence import ODDS, Evidence, times_odds


def compare_to_bound(trials: int, events: float, bound: float) -> Evidence:
    """Return the evidence against and for "the rate of events is at most `bound`".

    `events` may hold parts of events: the mean of exp(x a + (1 - x) b) over x in [0, 1] is no more than that of events
    with the same rate, because exp is convex.
    """
    misses = trials - events
    if bound <= 0:
        return Evidence(math.inf, -math.inf) if events else Evidence(0.0, 0.0)
    if bound >= 1:
        return Evidence(-math.inf, math.inf) if misses else Evidence(0.0, 0.0)

    def log_mean(odds: Iterable[tuple[float, float]]) -> float:
        terms = []
        for factor, weight in odds:
            rate = times_odds(bound, factor)
            ratio = events * math.log(rate / bound) + misses * math.log((1 - rate) / (1 - bound))
            terms.append(math.log(weight) + ratio)
        return float(np.logaddexp.reduce(terms))

    return Evidence(log_mean(ODDS), log_mean((1 / factor, weight) for factor, weight in ODDS))
