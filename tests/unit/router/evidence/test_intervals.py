"""Intervals are compared with their definitions, a published vector and simulations."""

import math

import numpy as np
import pytest

from router.evidence.intervals import half_width, mean_interval, share_interval


def test_the_published_vector_of_a_relative_effect():
    count_a, total_a, squared_a = 3000, 1396.87, 52377.9767
    count_b, total_b, squared_b = 3461, 2422.7, 134698.29
    mean_a, mean_b = total_a / count_a, total_b / count_b
    variance_a = (squared_a - total_a * mean_a) / (count_a - 1)
    variance_b = (squared_b - total_b * mean_b) / (count_b - 1)
    effect = mean_b / mean_a - 1
    # This is the delta method for a ratio of independent means.
    variance = variance_b / (count_b * mean_a**2) + variance_a * mean_b**2 / (count_a * mean_a**4)
    half = half_width(count_a + count_b, variance, alpha=0.05, tuned_for=1000)
    assert (effect, math.sqrt(variance)) == pytest.approx((0.50336, 0.33341), abs=1e-5)
    assert (effect - half, effect + half) == pytest.approx((-0.55844, 1.56516), abs=1e-5)


def test_without_data_every_share_is_possible():
    assert share_interval(0, 0, 0.05) == (0.0, 1.0)


@pytest.mark.parametrize(("events", "trials"), [(0, 1), (0, 50), (50, 50), (1, 50), (500, 1_000_000), (7, 7)])
def test_a_share_is_excluded_exactly_where_its_ratio_passes_the_level(events, trials):
    def ratio(p):
        mixture = math.lgamma(events + 1) + math.lgamma(trials - events + 1) - math.lgamma(trials + 2)
        return mixture - events * math.log(p) - (trials - events) * math.log1p(-p)

    low, high = share_interval(events, trials, 0.05)
    assert 0 <= low <= events / trials <= high <= 1
    for end, observed_end in ((low, 0.0), (high, 1.0)):
        if end != observed_end:
            assert ratio(end) == pytest.approx(math.log(1 / 0.05), abs=1e-6)


def test_a_share_stays_in_its_intervals_at_every_moment_at_once():
    rng = np.random.default_rng(20_261_123)
    share, runs, looks, alpha = 0.03, 300, 100, 0.1
    events = rng.binomial(10, share, (runs, looks)).cumsum(axis=1)
    left = 0
    for run in events:
        intervals = (share_interval(int(k), 10 * (i + 1), alpha) for i, k in enumerate(run))
        left += any(not low <= share <= high for low, high in intervals)
    assert left / runs <= alpha


def test_a_mean_lies_in_the_middle_of_its_interval_which_narrows():
    few, many = mean_interval(100, 50.0, 50.0, 0.05), mean_interval(10_000, 5000.0, 5000.0, 0.05)
    assert sum(few) / 2 == pytest.approx(0.5)
    assert many[1] - many[0] < (few[1] - few[0]) / 5


def test_a_mean_stays_in_its_intervals_at_every_moment_at_once():
    rng = np.random.default_rng(20_261_123)
    runs, alpha = 400, 0.1
    values = rng.exponential(2.0, (runs, 3000))
    totals, squares = values.cumsum(axis=1), (values**2).cumsum(axis=1)
    left = 0
    for total, squared in zip(totals, squares, strict=True):
        intervals = (mean_interval(n, total[n - 1], squared[n - 1], alpha) for n in range(50, 3001, 50))
        left += any(not low <= 2.0 <= high for low, high in intervals)
    assert left / runs <= alpha


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_values_say_nothing_of_a_mean(count):
    assert mean_interval(count, 3.0 * count, 9.0 * count, 0.05) == (-math.inf, math.inf)


def test_values_that_are_all_the_same_have_no_width_and_rounding_does_no_harm():
    low, high = mean_interval(1000, 1000 * 0.1, 1000 * 0.1 * 0.1, 0.05)
    assert (low, high) == pytest.approx((0.1, 0.1), abs=1e-6)
