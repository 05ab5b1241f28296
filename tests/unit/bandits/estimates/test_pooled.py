"""Pooled means are those of Beta posteriors, as far as rewards are events."""

import pytest

from bandits.errors import BanditError
from bandits.estimates.pooled import PooledState, estimates, fold
from tests.unit.bandits.estimates.support import period


def test_means_and_variances_are_those_of_counts():
    state = fold(PooledState.empty(("a", "b")), period(0, [60, 100], [4, 15]))
    known = estimates(fold(state, period(10, [40, 0], [6, 0])))
    assert known.decisions == (100, 100)
    assert known.means == (0.1, 0.15)
    assert known.covariance[0][0] == pytest.approx(11 * 91 / (102**2 * 103))  # Beta(11, 91)
    assert known.covariance[1][1] == pytest.approx(16 * 86 / (102**2 * 103))
    assert known.covariance[0][1] == 0


def test_an_arm_without_decisions_may_be_anything():
    known = estimates(PooledState.empty(("a",)))
    assert known.means == (0.5,)
    assert known.covariance[0][0] == pytest.approx(1 / 12)


def test_old_decisions_are_discounted():
    state = fold(PooledState.empty(("a",)), period(0, [100], [10]), 60)
    known = estimates(fold(state, period(60, [100], [40]), 60))
    assert known.decisions == (150,)
    assert known.means == (45 / 150,)


def test_a_period_that_is_older_is_refused():
    state = fold(PooledState.empty(("a",)), period(60, [100], [10]))
    with pytest.raises(BanditError, match="in the order of time"):
        fold(state, period(50, [100], [10]))
