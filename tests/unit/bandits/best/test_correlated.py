"""P(best) of correlated normals equals closed forms, scipy's distribution, and big seeded simulations."""

import math

import numpy as np
import pytest
from scipy import stats

from bandits.best.correlated import best_of_correlated
from bandits.best.normal import best_of_normals
from bandits.errors import BanditError

DRAWS = 1_000_000


def of_effects(count, rng):
    """Return the covariance of least-squares effects of arms within periods whose weights moved."""
    information = np.zeros((count, count))
    for _ in range(12):
        decisions = rng.multinomial(2000, rng.dirichlet(np.full(count, 2.0)))
        information += np.diag(decisions) - np.outer(decisions, decisions) / 2000
    return 0.1 * np.linalg.pinv(information)


def of_factors(count, factors, rng):
    loadings = rng.normal(size=(count, factors))
    return loadings @ loadings.T / factors


def simulated(means, covariance, rng):
    values, vectors = np.linalg.eigh(covariance)
    draws = rng.normal(size=(DRAWS, len(means))) @ (vectors * np.sqrt(np.maximum(values, 0))).T + means
    return np.bincount(draws.argmax(axis=1), minlength=len(means)) / DRAWS


def test_two_arms_follow_the_normal_of_their_difference():
    covariance = [[0.04, 0.01], [0.01, 0.09]]
    true = stats.norm.cdf(0.2 / math.sqrt(0.11))
    assert best_of_correlated([0.5, 0.3], covariance) == pytest.approx((true, 1 - true), rel=1e-14)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_three_arms_equal_the_distribution_of_their_contrasts(seed):
    rng = np.random.default_rng(seed)
    means, covariance = rng.normal(0, 0.5, 3), of_factors(3, 5, rng)
    for k, ours in enumerate(best_of_correlated(means.tolist(), covariance.tolist())):
        contrasts = np.array([[(arm == j) - (arm == k) for arm in range(3)] for j in range(3) if j != k], float)
        true = stats.multivariate_normal.cdf(-contrasts @ means, cov=contrasts @ covariance @ contrasts.T, abseps=1e-7)
        assert ours == pytest.approx(true, abs=1e-4)


@pytest.mark.parametrize(("count", "spread_of_means"), [(4, 0.0), (4, 1.0), (10, 0.0), (10, 1.0), (20, 0.5)])
def test_effects_agree_with_a_simulation_to_a_thousandth(count, spread_of_means):
    rng = np.random.default_rng(20_261_130 + count)
    covariance = of_effects(count, rng)
    means = rng.normal(0, spread_of_means * math.sqrt(covariance[0, 0]), count)
    ours = best_of_correlated(means.tolist(), covariance.tolist())
    # Five standard errors of the simulation, at most .0025, beside the error that is stated.
    noise = 5 * math.sqrt(0.25 / DRAWS)
    assert np.abs(np.array(ours) - simulated(means, covariance, rng)).max() < 0.001 + noise
    assert math.fsum(ours) == pytest.approx(1, abs=1e-14)


@pytest.mark.parametrize(("count", "factors"), [(4, 2), (10, 5), (10, 10)])
def test_nearly_dependent_contrasts_agree_to_a_hundredth(count, factors):
    rng = np.random.default_rng(20_261_130)
    means, covariance = rng.normal(0, 0.3, count), of_factors(count, factors, rng)
    ours = np.array(best_of_correlated(means.tolist(), covariance.tolist()))
    assert np.abs(ours - simulated(means, covariance, rng)).max() < 0.01


def test_independent_errors_are_integrated_and_a_common_error_changes_nothing():
    means, spreads = [0.0, 0.5, 1.0, 0.9], [0.05, 0.5, 1.5, 0.25]
    alone = np.diag([each * each for each in spreads])
    true = best_of_normals(means, spreads)
    assert best_of_correlated(means, alone.tolist()) == pytest.approx(true, abs=1e-15)
    assert best_of_correlated(means, (alone + 3.0).tolist()) == pytest.approx(true, abs=1e-12)
    offsets = np.array([0.1, 0.4, 0.2, 0.3])
    shifted = alone + offsets[:, None] + offsets
    assert best_of_correlated(means, shifted.tolist()) == pytest.approx(true, abs=5e-4)


def test_the_result_follows_the_arms_order():
    rng = np.random.default_rng(4)
    means, covariance = rng.normal(0, 0.05, 5), of_effects(5, rng)
    order = [3, 0, 4, 2, 1]
    ours = best_of_correlated(means.tolist(), covariance.tolist())
    moved = best_of_correlated(means[order].tolist(), covariance[np.ix_(order, order)].tolist())
    assert moved == pytest.approx([ours[arm] for arm in order], abs=1e-13)


def test_without_variance_the_greatest_means_share():
    assert best_of_correlated([0.1, 0.2, 0.2], [[0.0] * 3] * 3) == (0.0, 0.5, 0.5)
    assert best_of_correlated([0.1, 0.2, 0.2], [[5.0] * 3] * 3) == (0.0, 0.5, 0.5)
    assert best_of_correlated([0.4], [[0.3]]) == (1.0,)


def test_arms_that_cannot_differ_count_once():
    # Arms 1 and 2 are the same quantity, and so is arm 3 but for being lower.
    base = np.array([[1.0, 0.2], [0.2, 1.0]])[np.ix_([0, 1, 1, 1], [0, 1, 1, 1])]
    first, second = best_of_correlated([0.3, 0.0], [[1.0, 0.2], [0.2, 1.0]])
    shares = best_of_correlated([0.3, 0.0, 0.0, -0.1], base.tolist())
    assert shares == pytest.approx((first, second / 2, second / 2, 0.0), abs=1e-15)


def test_a_contrast_that_follows_from_the_others_is_no_error():
    # The third arm is the mean of the other two, so it is best with probability 0.
    covariance = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.5, 0.5, 0.5]])
    assert best_of_correlated([0.0, 0.0, 0.0], covariance.tolist()) == pytest.approx((0.5, 0.5, 0.0), abs=1e-3)


def test_what_is_no_covariance_is_refused():
    with pytest.raises(BanditError, match="below zero"):
        best_of_correlated([0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]])
    with pytest.raises(BanditError, match="at most 30 arms, not 31"):
        best_of_correlated([0.0] * 31, np.diag(np.arange(1.0, 32.0)).tolist())
    with pytest.raises(BanditError, match="must be finite"):
        best_of_correlated([0.0, math.nan, 0.0], np.array([[1, 0.1, 0], [0.1, 1, 0], [0, 0, 1.0]]).tolist())
