"""Units that hang together: two equal arms, units with fifty decisions each at rates of their own.

A unit's rate is drawn from Beta(0.2, 1.8): 10 % on average, with a correlation of 1/3 between decisions of a unit, so
that the variance of a mean is 17 times that of independent decisions. A unit keeps its arm, unless the weights move.
"""

from typing import NamedTuple

import numpy as np

from loadtests.studies.bandits_drift.rules import GROUPS, Learner
from loadtests.studies.bandits_drift.weighing import FLOOR, best_of

PERIODS = 5
"""After each of them P(best) is looked at."""
_EACH = 50


class Crowd(NamedTuple):
    """How many units there are, and how unlike their activity is (Zipf's exponent). Weights follow P(best) or stay."""

    units: int
    zipf: float
    first_share: float = 0.5
    is_adaptive: bool = False
    knows_units: bool = True


def looks(crowd: Crowd, seed: tuple[int, ...]) -> list[float]:
    """Return P(first arm is best) at each look."""
    rng = np.random.default_rng(seed)
    activity = np.arange(1.0, crowd.units + 1) ** -crowd.zipf
    activity /= activity.sum()
    rates = rng.beta(0.2, 1.8, crowd.units)
    place, group = rng.random(crowd.units), rng.integers(0, GROUPS, crowd.units)
    learner = Learner("effects", 2, GROUPS if crowd.knows_units else 0)
    share = crowd.first_share
    seen: list[float] = []
    for _ in range(PERIODS):
        decisions = rng.multinomial(crowd.units * _EACH // PERIODS, activity)
        cell = 2 * group + (place >= share)  # the first arm's slots are the lowest: of two arms, what slot tables do
        sums = [
            np.bincount(cell, each, 2 * GROUPS).astype(np.int64).reshape(GROUPS, 2)
            for each in (decisions, rng.binomial(decisions, rates))
        ]
        learner.learn(*(sums if crowd.knows_units else [each.sum(axis=0) for each in sums]))
        seen.append(float(best_of(learner.estimates())[0]))
        if crowd.is_adaptive:
            share = FLOOR + (1 - 2 * FLOOR) * seen[-1]
    return seen
