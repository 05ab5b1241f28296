"""The nearest allowed rates are compared with what a numerical minimiser finds."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from router.evidence.nearest import nearest, scores

RATES = st.floats(1e-5, 1 - 1e-5)


def divergence(p, q):
    return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))


@given(st.floats(0.001, 0.999), st.sampled_from([0.0, 0.001, 0.01, 0.3, 0.9]), RATES, RATES)
@settings(max_examples=200)
def test_no_allowed_rate_is_nearer(share, margin, rate, other_rate):
    def distance(r):
        return share * divergence(rate, r + margin) + (1 - share) * divergence(other_rate, r)

    found = float(nearest(share, margin, rate, other_rate))
    best = minimize_scalar(distance, bounds=(1e-12, 1 - margin - 1e-12), method="bounded", options={"xatol": 1e-12})
    assert distance(found) <= best.fun + 1e-9


def test_it_is_computed_for_many_pairs_at_once():
    together = nearest(np.array([[0.1], [0.5]]), 0.01, np.array([0.2, 0.3, 0.9]), np.array([0.1, 0.01, 0.5]))
    assert together.shape == (2, 3)
    assert together[1, 2] == pytest.approx(float(nearest(0.5, 0.01, 0.9, 0.5)), abs=1e-12)


def test_scores_are_the_logs_of_the_ratios_to_the_nearest_rates():
    share, margin, rate, other_rate = 0.2, 0.01, 0.3, 0.1
    r = float(nearest(share, margin, rate, other_rate))
    assert scores(share, margin, rate, other_rate) == pytest.approx(
        [
            math.log(rate / (r + margin)),
            math.log((1 - rate) / (1 - r - margin)),
            math.log(other_rate / r),
            math.log((1 - other_rate) / (1 - r)),
        ]
    )
