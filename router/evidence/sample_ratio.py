"""Does each arm get as many requests as its weights say? If not, requests are lost or drawn otherwise than logged.

Each request is a draw with known weights. For an arm of weight w, 1 - w is added with the probability w, and -w
otherwise. So what an arm has got, less the sum of its weights, is a martingale: its mean stays 0, also if the weights
move with what happened before. No step exceeds 1, and the variances w (1 - w) add up to a known V. For every number
b > 0

    exp(b D - (exp(b) - 1 - b) V)

has therefore an expectation of at most 1 at all times, and the same holds for -D (Freedman, "On tail probabilities for
martingales", 1975, which has Bennett's inequality in it). The evidence is the mean over arms, both signs and `SLOPES`.
It exceeds 1/alpha at any time with probability at most alpha, so it may be looked at as often as needed.

Where units are drawn, requests of one unit share a draw. A weight is then the marginal probability of each of them, so
the sums of weights are what is expected, but V is not the variance. Nothing is tested there.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from router.draw.assignment import BUCKETS
from router.evidence.sums import EXPECTED, EXPECTED_SQUARED, LEFT, REQUESTS, Sums

SLOPES = tuple(2.0**-power for power in range(18))
"""The numbers b that are tried. The best one is about D / V."""
ALPHA = 0.001
"""A mismatch is reported at this level. It says that something is broken, so it should not be said by chance."""


class Draws(NamedTuple):
    """The drawn requests of an arm: how many it got, the sum of its weights over all of them, and that of w (1 - w)."""

    drawn: int
    expected: float
    variance: float


def draws_of(totals: Sums, weights: Mapping[int, Mapping[str, int]]) -> dict[str, Draws]:
    """Return the draws of each arm over all policy versions. Arms that never had a weight or a request are left out.

    `weights` are the slots of each arm by policy version. Where weights move within a version, the sums of those that
    were in force are in `totals`. A version is left out if neither is known of all its requests.
    """
    requests: dict[int, Counter[str]] = defaultdict(Counter)
    sums: dict[tuple[int, str], Counter[str]] = defaultdict(Counter)
    for key, value in totals.items():
        if not key.against and key.name in (REQUESTS, LEFT):
            requests[key.policy_version][key.arm] += value
        elif key.name in (EXPECTED, EXPECTED_SQUARED):
            sums[key.policy_version, key.name][key.arm] += value
    draws: dict[str, Draws] = {}
    for version, drawn in requests.items():
        number = drawn.total()
        slots, squared = sums[version, EXPECTED], sums[version, EXPECTED_SQUARED]
        if not slots:
            constant = weights.get(version, {})
            slots = Counter({arm: number * each for arm, each in constant.items()})
            squared = Counter({arm: number * each**2 for arm, each in constant.items()})
        if slots.total() != number * BUCKETS:
            continue
        for arm in dict.fromkeys([*slots, *drawn]):
            known, expected = draws.get(arm, Draws(0, 0.0, 0.0)), slots[arm] / BUCKETS
            variance = expected - squared[arm] / BUCKETS**2
            draws[arm] = Draws(known.drawn + drawn[arm], known.expected + expected, known.variance + variance)
    return {arm: each for arm, each in draws.items() if each.drawn or each.expected}


def ratio_evidence(draws: Mapping[str, Draws]) -> float:
    """Return the natural log of the evidence of a mismatch."""
    if not draws:
        return 0.0
    slopes = np.array(SLOPES)
    costs = np.expm1(slopes) - slopes
    terms = [
        sign * slopes * (each.drawn - each.expected) - costs * each.variance
        for each in draws.values()
        for sign in (1, -1)
    ]
    return float(np.logaddexp.reduce(terms, axis=None)) - math.log(2 * len(draws) * len(SLOPES))


def ratio_p_value(draws: Mapping[str, Draws]) -> float:
    """Return a bound of the probability that so much evidence of a mismatch ever comes up by chance."""
    return math.exp(-max(ratio_evidence(draws), 0.0))
