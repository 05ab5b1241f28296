"""A level of reward that moves for all arms does not favour the arm that was served at good times."""

import numpy as np
import pytest

from bandits.linear.context import SCALE
from bandits.linear.levels import with_levels
from bandits.linear.scorer import Scorer
from bandits.linear.solve import Bucket, solve
from bandits.linear.sums import MILLION, combine, exposure, nothing

BUCKETS = 24


def day(seed: int, *, swing: float, moving: bool) -> list[list[Bucket]]:
    """Return the buckets of two arms whose rewards depend on the context alike, but by .2 x more in the second arm."""
    rng = np.random.default_rng(seed)
    arms: list[list[Bucket]] = [[], []]
    for bucket in range(BUCKETS):
        level = 0.4 + swing * np.sin(2 * np.pi * bucket / BUCKETS)
        share = 0.1 + 0.8 * bucket / (BUCKETS - 1) if moving else 0.5
        parts: list[list] = [[], []]
        for x in rng.integers(0, SCALE + 1, 100).tolist():
            arm = int(rng.random() < share)
            mean = level + 0.1 * x / SCALE + 0.2 * arm * x / SCALE
            parts[arm].append(exposure((SCALE, x), int(MILLION * (rng.random() < mean))))
        for arm in (0, 1):
            arms[arm].append(Bucket(combine(parts[arm], 2)))
    return arms


def contrast(arms: list[list[Bucket]], share: float) -> float:
    """Return how much better the second arm scores for a context."""
    scorer = Scorer([solve(buckets, 2) for buckets in arms], 2, with_spreads=False)
    first, second = scorer.scores((SCALE, round(share * SCALE))).means
    return second - first


def contrasts(*, swing: float, moving: bool, levelled: bool) -> np.ndarray:
    """Return the errors of the contrast at the middle context, by seed. The truth is .1."""
    runs = (day(seed, swing=swing, moving=moving) for seed in range(20))
    return np.array([contrast(with_levels(arms, 2) if levelled else arms, 0.5) - 0.1 for arms in runs])


def test_weights_that_move_while_the_level_swings_do_not_bias_the_contrast():
    # A contrast of 1,200 decisions each has a standard error of about .02, its mean over 20 runs .0045.
    assert abs(contrasts(swing=0.2, moving=True, levelled=True).mean()) < 0.015
    assert abs(contrasts(swing=0.2, moving=True, levelled=False).mean()) > 0.08


def test_where_nothing_drifts_levels_cost_little():
    levelled, pooled = (contrasts(swing=0.0, moving=False, levelled=each) for each in (True, False))
    assert levelled.std() < 1.15 * pooled.std()
    assert abs(levelled.mean()) < 0.015


def test_turns_reach_the_least_squares_solution():
    """The same equations, with a column for each bucket, solved at once by numpy."""
    arms = day(1, swing=0.2, moving=True)
    size = 2 * 2 + BUCKETS
    a, b = np.zeros((size, size)), np.zeros(size)
    a[:4, :4] = np.identity(4)
    for arm, buckets in enumerate(arms):
        own = slice(2 * arm, 2 * arm + 2)
        for place, (sums, _, _) in enumerate(buckets, 4):
            xx = np.array([[sums.products[0], sums.products[1]], [sums.products[1], sums.products[2]]]) / SCALE**2
            a[own, own] += xx
            a[own, place] += xx[0]
            a[place, own] += xx[0]
            a[place, place] += sums.decisions
            b[own] += np.array(sums.rewarded) / (SCALE * MILLION)
            b[place] += sums.total / MILLION
    wanted = np.linalg.solve(a, b)
    theta = wanted[2:4] - wanted[:2]
    found = with_levels(arms, 2)
    assert contrast(found, 0.0) == pytest.approx(theta[0], abs=1e-3)
    assert contrast(found, 1.0) == pytest.approx(theta[0] + theta[1], abs=1e-3)


def test_a_bucket_without_decisions_has_the_level_0_and_changes_nothing():
    arms = day(2, swing=0.1, moving=True)
    longer = [[*buckets[:5], Bucket(nothing(2)), *buckets[5:]] for buckets in arms]
    found = with_levels(longer, 2)
    assert found[0][5].level == 0
    assert contrast(found, 0.7) == contrast(with_levels(arms, 2), 0.7)
