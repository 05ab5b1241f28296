"""Small forms of the study of drift and units. The full one is `python -m loadtests.studies.bandits_drift`."""

import numpy as np
import pytest

from bandits.estimates.estimates import Estimates
from loadtests.studies.bandits_drift import delay, drift, units
from loadtests.studies.bandits_drift.weighing import FLOOR, best_of, weights_of


def independent(means: list[float], errors: list[float]) -> Estimates:
    covariance = np.diag(np.square(errors)).tolist()
    return Estimates((1.0,) * len(means), tuple(means), tuple(tuple(row) for row in covariance))


def test_p_best_is_that_of_normals():
    of_three = best_of(independent([0, 0.1, 0.2], [0.1] * 3))
    assert of_three == pytest.approx([0.04715068, 0.2240983, 0.72875102], abs=0.003)
    assert best_of(independent([0, 0.1], [0.1, 0.1])) == pytest.approx([0.23975006, 0.76024994])
    assert weights_of(independent([0, 1], [0.1, 0.1])) == pytest.approx([FLOOR, 1 - FLOOR])


def test_a_rise_of_all_rates_fools_the_pooled_rule():
    """The full study has .92 on average, with a standard deviation of .24: that of eight runs is .085."""
    rises = drift.TWO_EQUAL["rises from 5 to 15 %"]
    assert np.mean([drift.play(rises, "pooled", (1, seed)).weight for seed in range(8)]) > 0.6


def test_effects_find_the_best_of_four_arms():
    """The full study has a regret of about 310."""
    outcome = drift.play(drift.FOUR_ARMS["still"], "effects", (2, 0))
    assert outcome.weight > 0.9
    assert outcome.regret < 0.2 * drift.UNIFORM_REGRET


def test_units_that_are_not_known_make_equal_arms_look_different():
    """10 % of independent decisions would, and 69 % of these: sixteen runs have 4 or fewer with odds of .1 %."""
    best = np.array([units.looks(units.Crowd(200, 0.0, knows_units=False), (3, seed))[-1] for seed in range(16)])
    assert np.mean((best > 0.95) | (best < 0.05)) > 0.25


def test_late_rewards_cost_more(monkeypatch):
    monkeypatch.setattr(delay, "STEPS", 20_000)
    assert delay.regret(1000, (4,)) > delay.regret(100, (4,)) > 0
