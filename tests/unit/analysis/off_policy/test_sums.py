"""The estimates on a few decisions, by hand, and on many, beside what is true."""

from math import sqrt

import numpy as np
import pytest

from analysis.off_policy.sums import OffPolicySums

WEIGHTS = np.array([2.0, 0.0, 1.0, 1.0])
REWARDS = np.array([1.0, 1.0, 0.0, 0.5])


def test_four_decisions_by_hand():
    sums = OffPolicySums()
    sums.add(WEIGHTS, REWARDS, modelled=np.array([0.5, 0.25, 0.25, 0.5]), expected=np.array([0.4, 0.4, 0.4, 0.4]))
    assert sums.logged == 0.625
    assert sums.ips == (2 + 0 + 0 + 0.5) / 4
    assert sums.snips == (2 + 0 + 0 + 0.5) / 4
    assert sums.direct == pytest.approx(0.4)
    terms = [0.4 + 2 * 0.5, 0.4, 0.4 - 0.25, 0.4]
    assert sums.doubly_robust == pytest.approx(sum(terms) / 4)
    assert sums.standard_error == pytest.approx(sqrt(sum((each - sum(terms) / 4) ** 2 for each in terms)) / 4)
    assert sums.effective_sample_size == pytest.approx(16 / 6)
    assert (sums.mean_weight, sums.largest_weight) == (1.0, 2.0)


def test_decisions_may_come_in_parts_or_not_at_all():
    whole, parts = OffPolicySums(groups=2), OffPolicySums(groups=2)
    groups = np.array([0, 1, 1, 0])
    whole.add(WEIGHTS, REWARDS, 0.3, 0.4, groups)
    for start, end in ((0, 1), (1, 1), (1, 4)):
        parts.add(WEIGHTS[start:end], REWARDS[start:end], 0.3, 0.4, groups[start:end])
    assert parts.doubly_robust == pytest.approx(whole.doubly_robust)
    assert parts.standard_error == pytest.approx(whole.standard_error)


def test_the_error_by_groups_is_that_of_their_sums():
    sums = OffPolicySums(groups=4)
    sums.add(np.ones(8), np.repeat([1.0, 0.0], 4), groups=np.repeat([0, 2], 4))
    independent, by_groups = sqrt(8 * 0.25) / 8, sqrt(2 / 1 * (2**2 + 2**2)) / 8
    assert sums.standard_error == pytest.approx(by_groups)
    assert sums.degrees_of_freedom == 1
    design_effect = (by_groups / independent) ** 2
    assert sums.effective_sample_size == pytest.approx(8 / design_effect)


@pytest.mark.parametrize("units", [False, True])
def test_the_truth_lies_within_two_errors_in_95_of_100_logs(units):
    """Of 400 logs 380 are expected, with a deviation of 4.4. By groups, Student's quantile is 2.00."""
    rng = np.random.default_rng(20261130)
    rates, shares, wanted = np.array([0.1, 0.3]), np.array([0.8, 0.2]), np.array([0.3, 0.7])
    within = 0
    for _ in range(400):
        people, each = 1000, 5
        draws = rng.random(people) if units else rng.random(people * each)
        arms = np.repeat((draws < shares[1]).astype(int), each if units else 1)
        own = np.repeat(rng.normal(0, 0.05 if units else 0, people), each)
        rewards = (rng.random(len(arms)) < np.clip(rates[arms] + own, 0, 1)).astype(float)
        sums = OffPolicySums(groups=64 if units else 0)
        model = np.array([0.1, 0.25])
        group = np.repeat(rng.integers(0, 64, people), each)
        expected = np.full(len(arms), float(wanted @ model))
        sums.add(wanted[arms] / shares[arms], rewards, model[arms], expected, group if units else None)
        within += abs(sums.doubly_robust - float(wanted @ rates)) < (2.0 if units else 1.96) * sums.standard_error
    assert 366 <= within <= 393
