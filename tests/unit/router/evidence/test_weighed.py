"""The evidence of weighed counts is compared with its promise, by enumerating every outcome of a few requests."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.evidence.evidence import start_weight
from router.evidence.weighed import STRENGTHS, WeighedStratum, compare_weighed

ROUNDING = 1 + 1e-9
NEEDED = math.log(100)


def stratum(outcome, shares, bucket_s=0):
    """Return the stratum of requests, of which each is (went to the arm, had an event) and was drawn with its share."""
    drawn = list(zip(outcome, shares, strict=True))
    return WeighedStratum(
        sum(1 - share for (is_own, _), share in drawn if is_own),
        sum((1 - share) * event for (is_own, event), share in drawn if is_own),
        sum(share * event for (is_own, event), share in drawn if not is_own),
        bucket_s,
    )


def mean_evidence(shares, rates, other_rates, margin):
    """Return the means of both e-processes over all outcomes of requests that are drawn and judged one by one.

    The start of the comparison has a part of the weight, which is taken out: the other starts have no requests.
    """
    mean = np.zeros(2)
    for outcome in product(product((True, False), repeat=2), repeat=len(shares)):
        chance = 1.0
        for (is_own, event), share, rate, other in zip(outcome, shares, rates, other_rates, strict=True):
            chance *= share if is_own else 1 - share
            of_arm = rate if is_own else other
            chance *= of_arm if event else 1 - of_arm
        mean += chance * np.exp(compare_weighed([stratum(outcome, shares)], margin)) / start_weight(0)
    return mean


requests = st.lists(
    st.tuples(st.floats(0.0001, 0.9999), st.sampled_from([0.0, 0.001, 0.3, 0.8])), min_size=1, max_size=4
)


@given(requests, st.sampled_from([0.0, 0.01, 0.2]))
@settings(max_examples=60, deadline=None)
def test_an_arm_that_is_worse_by_exactly_the_margin_gains_on_neither_side_whatever_drifts(drawn, margin):
    shares, other_rates = zip(*drawn, strict=True)
    mean = mean_evidence(shares, [min(rate + margin, 1.0) for rate in other_rates], other_rates, margin)
    assert mean.max() <= ROUNDING


@pytest.mark.parametrize(("rate", "side"), [(0.05, 0), (0.6, 1)])
def test_an_arm_that_is_better_or_worse_gains_less(rate, side):
    assert mean_evidence([0.2, 0.9], [rate] * 2, [0.3] * 2, 0.1)[side] < 1
    assert mean_evidence([0.2, 0.9], [rate] * 2, [0.3] * 2, 0.1)[1 - side] > 1


def test_what_one_request_adds_is_fair_for_every_share_and_strength():
    """The step of the proof: s (exp(u x) - 1) <= x (1 - exp(-v s))."""
    s = np.linspace(0.0001, 0.9999, 5_000)[:, None]
    u = np.array([*(each for each, _ in STRENGTHS), 0.999])
    gain = s * np.expm1(u * (1 - s)) + (1 - s) * np.expm1(np.log1p(-u) * s)
    assert gain.max() <= 1e-12


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_an_arm_that_fails_half_of_its_requests_is_found_after_about_a_dozen(share):
    """The trusted arm fails none. Of an arm with nearly all the traffic, it takes more: a failure is no surprise."""
    found = next(
        failed
        for failed in range(1, 500)
        if compare_weighed(
            [
                WeighedStratum(0, 0, 0, 0),
                WeighedStratum(2 * failed * (1 - share), failed * (1 - share), 0.0, 60),
            ],
            0.01,
        ).against
        >= NEEDED
    )
    assert found == pytest.approx(12 / (1 - share), rel=0.5)


def test_strata_may_be_merged_and_their_order_does_not_matter():
    parts = [WeighedStratum(40.0, 3.0, 1.0, 60), WeighedStratum(10.0, 0.5, 0.1, 60), WeighedStratum(7.0, 1.0, 2.0, 10)]
    merged = WeighedStratum(50.0, 3.5, 1.1, 60)
    whole = compare_weighed([parts[2], merged], 0.01)
    assert compare_weighed(parts, 0.01) == pytest.approx(whole)
    assert compare_weighed(parts[::-1], 0.01) == pytest.approx(whole)


def test_a_good_past_does_not_protect_an_arm_that_turns_bad():
    past = [WeighedStratum(5_000.0, 5.0, 5.0, 10 * each) for each in range(60)]
    assert compare_weighed([*past, WeighedStratum(40.0, 20.0, 0.0, 600)], 0.01).against >= NEEDED
    assert compare_weighed(past, 0.01).in_favour >= NEEDED


def test_without_counts_there_is_no_evidence():
    assert compare_weighed([], 0.0) == (0.0, 0.0)
    assert compare_weighed([WeighedStratum(0.0, 0.0, 0.0, 10)], 0.0) == pytest.approx((math.log(0.65), math.log(0.65)))
