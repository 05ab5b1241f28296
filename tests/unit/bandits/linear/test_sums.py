"""Sums of contexts and rewards are integers that may be added in any order, and fit 63 bits."""

import numpy as np

from bandits.linear.context import MOST_FEATURES, SCALE
from bandits.linear.sums import MILLION, MOST_DECISIONS, combine, difference, exposure, nothing


def test_what_a_decision_adds():
    assert exposure((SCALE, 3, 5), 200_000) == (
        1,
        (SCALE * SCALE, SCALE * 3, SCALE * 5, 9, 15, 25),
        (200_000 * SCALE, 600_000, 1_000_000),
        200_000,
        40_000,
    )


def test_a_reward_adds_what_makes_the_sums_those_of_the_new_value():
    vector = (SCALE, 17, 4096)
    for before, after in ((0, MILLION), (MILLION, 0), (333_333, 777_777), (5, 5)):
        assert combine([exposure(vector, before), difference(vector, before, after)], 3) == exposure(vector, after)


def test_the_order_does_not_matter():
    rng = np.random.default_rng(4)
    rows = [(SCALE, *rng.integers(0, SCALE + 1, 2).tolist()) for _ in range(99)]
    parts = [exposure(row, int(rng.integers(0, MILLION + 1))) for row in rows]
    whole = combine(parts, 3)
    mixed = [parts[place] for place in rng.permutation(len(parts))]
    assert combine([combine(mixed[:40], 3), combine(mixed[40:], 3)], 3) == whole
    assert whole.decisions == 99
    assert combine([], 3) == nothing(3)
    assert nothing(3).size == 3


def test_a_billion_decisions_fit_a_signed_integer_of_64_bits():
    largest = exposure((SCALE,) * MOST_FEATURES, MILLION)
    most = max(largest.decisions, *largest.products, *largest.rewarded, largest.total, largest.squares)
    assert MOST_DECISIONS >= 10**9
    assert most * MOST_DECISIONS < 2**63 <= most * (MOST_DECISIONS + 1)
