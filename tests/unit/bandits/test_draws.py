"""What is drawn agrees with what is logged: over a million draws the frequency of each arm is its propensity."""

from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from bandits.bounds.bounded import bounded
from bandits.bounds.bounds import make_bounds
from bandits.policies.choose import POLICY_NAMES, choose_policy
from bandits.slots import SLOTS
from router.draw.slots import allocate, owners
from tests.unit.bandits.support import estimates

SEEDS, DRAWS = 10, 100_000
BOUNDS = make_bounds([Fraction(1, 50)] * 4, [Fraction(1)] * 3 + [Fraction(3, 4)])
KNOWN = estimates([90, 100, 110, 120], [0.10, 0.12, 0.14, 0.18])


def chi_squared(slots, layout, seed):
    drawn = layout[np.random.default_rng(seed).integers(SLOTS, size=DRAWS)]
    return stats.chisquare(np.bincount(drawn, minlength=4), np.array(slots) * (DRAWS / SLOTS)).pvalue


def layout_of(slots):
    arms = {"a": 0, "b": 1, "c": 2, "d": 3}
    return np.frombuffer(owners(allocate(dict(zip(arms, slots, strict=True))), arms), np.uint8)


@pytest.mark.parametrize("name", POLICY_NAMES)
def test_the_frequency_of_each_arm_is_its_propensity(name):
    slots = bounded(choose_policy(name, {}).weights(KNOWN), BOUNDS)
    assert min(slots) >= 200
    assert slots[3] <= 7500
    values = [chi_squared(slots, layout_of(slots), seed) for seed in range(SEEDS)]
    # Of ten uniform values the least is below 1e-4 once in a thousand tests; all together they must look uniform.
    assert min(values) > 1e-4
    assert stats.kstest(values, "uniform").pvalue > 1e-3


def test_a_propensity_that_is_off_by_one_percent_of_the_traffic_is_noticed():
    slots = bounded(choose_policy("softmax", {}).weights(KNOWN), BOUNDS)
    claimed = (slots[0] + 100, slots[1] - 100, *slots[2:])
    assert max(chi_squared(claimed, layout_of(slots), seed) for seed in range(SEEDS)) < 1e-4
