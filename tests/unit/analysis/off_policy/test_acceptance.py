"""Decisions that are taken have the arms that the policy would draw, whatever the log drew."""

import numpy as np
import pytest

from analysis.off_policy.acceptance import accepted


@pytest.mark.parametrize("shares", [[1 / 3, 1 / 3, 1 / 3], [0.7, 0.2, 0.1]])
def test_the_arms_of_what_is_taken_are_those_of_the_policy(shares):
    """The shares of 100,000 times `least` decisions have errors of at most .005 at three standard deviations."""
    rng = np.random.default_rng(7)
    propensities, wanted = np.array(shares), np.array([0.1, 0.6, 0.3])
    arms = rng.choice(3, 100_000, p=propensities)
    least = np.full(len(arms), min(shares))
    is_taken = accepted(wanted[arms], propensities[arms], least, rng.random(len(arms)))
    assert is_taken.mean() == pytest.approx(min(shares), abs=0.005)
    assert np.bincount(arms[is_taken]) / is_taken.sum() == pytest.approx(wanted, abs=0.016)
