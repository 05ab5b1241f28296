"""A rate that is held against a bound, by enumerating every outcome."""

import math

import pytest
from scipy.stats import binom

from router.evidence.bound import compare_to_bound
from router.evidence.evidence import Evidence

NEEDED = math.log(100)


@pytest.mark.parametrize("limit", [0.001, 0.05, 0.5, 0.99])
def test_a_rate_at_its_bound_gains_on_neither_side(limit):
    for side in (0, 1):
        mean = sum(binom.pmf(k, 12, limit) * math.exp(compare_to_bound(12, k, limit)[side]) for k in range(13))
        assert mean <= 1 + 1e-9


def test_a_rate_is_found_above_its_bound_and_below_it():
    assert compare_to_bound(200, 30, 0.05).against >= NEEDED
    assert compare_to_bound(400, 4, 0.05).in_favour >= NEEDED
    assert compare_to_bound(0, 0, 0.05) == pytest.approx((0, 0))


def test_parts_of_events_gain_no_more_than_events_of_the_same_mean():
    """Half an event each time, against one event or none with equal chances."""
    whole = sum(binom.pmf(k, 6, 0.5) * math.exp(compare_to_bound(6, k, 0.5).against) for k in range(7))
    assert math.exp(compare_to_bound(6, 3.0, 0.5).against) <= whole


@pytest.mark.parametrize(
    ("trials", "events", "limit", "evidence"),
    [
        (9, 1, 0.0, Evidence(math.inf, -math.inf)),
        (9, 0, 0.0, Evidence(0, 0)),
        (9, 9, 1.0, Evidence(0, 0)),
        (9, 8, 1.0, Evidence(-math.inf, math.inf)),
    ],
)
def test_a_bound_at_the_end_of_the_scale_is_refuted_by_one_event(trials, events, limit, evidence):
    assert compare_to_bound(trials, events, limit) == evidence
