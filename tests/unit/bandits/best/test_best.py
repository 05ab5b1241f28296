"""P(best) of independent posteriors equals published values, closed forms and scipy's integrals."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from bandits.best.beta import best_of_betas
from bandits.best.normal import best_of_normals
from bandits.best.quadrature import share_best
from bandits.errors import BanditError


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([2, 1], [1, 1], [2 / 3, 1 / 3]),
        ([11, 16], [91, 86], [0.14671621, 0.85328379]),
        ([101, 121, 111, 91], [901, 881, 891, 911], [0.0456347, 0.72391564, 0.22535887, 0.0050908]),
    ],
)
def test_betas_have_the_published_values(a, b, expected):
    assert best_of_betas(a, b) == pytest.approx(expected, abs=5e-9)


@pytest.mark.parametrize(
    ("means", "spreads", "expected"),
    [
        ([0, 0.1, 0.2], [0.1, 0.1, 0.1], [0.04715068, 0.2240983, 0.72875102]),
        ([0, 0.5, 1], [0.05, 0.5, 1.5], [0.04063998, 0.34334012, 0.61601990]),
    ],
)
def test_normals_have_the_published_values(means, spreads, expected):
    assert best_of_normals(means, spreads) == pytest.approx(expected, abs=6e-9)


@pytest.mark.parametrize("ratio", [1.0, 30.0, 1e4, 1e6])
@pytest.mark.parametrize("distance", [0.0, 0.3, 2.0, 7.0])
def test_two_normals_follow_the_normal_of_their_difference(ratio, distance):
    first, second = best_of_normals([distance, 0.0], [1.0, ratio])
    assert second == pytest.approx(stats.norm.cdf(-distance / math.hypot(1, ratio)), rel=1e-9)
    assert first + second == pytest.approx(1, abs=1e-15)


def test_two_betas_follow_their_closed_form():
    # Of whole parameters: P(X2 > X1) = sum over i < a2 of B(a1 + i, b1 + b2) / ((b2 + i) B(1 + i, b2) B(a1, b1)).
    a1, b1, a2, b2 = 40, 1000, 55, 1010

    def log_beta(a, b):
        return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)

    true = math.fsum(
        math.exp(log_beta(a1 + i, b1 + b2) - math.log(b2 + i) - log_beta(1 + i, b2) - log_beta(a1, b1))
        for i in range(a2)
    )
    assert best_of_betas([a1, a2], [b1, b2])[1] == pytest.approx(true, rel=1e-10)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([1.3, 1.0, 0.7], [50.0, 1.0, 3.2]),
        ([0.5, 1.0], [1.5, 20.0]),
        ([1.0, 3.0, 900.5], [2000.0, 1500.0, 1e5]),
        ([3000.0, 40.0], [2.0, 1.0]),
    ],
)
def test_betas_equal_adaptive_integrals(a, b):
    arms = [stats.beta(*pair) for pair in zip(a, b, strict=True)]

    def integrand(log_odds, k):
        x = 1 / (1 + math.exp(-log_odds))
        others = math.prod(arm.cdf(x) for i, arm in enumerate(arms) if i != k)
        return arms[k].pdf(x) * x * (1 - x) * others

    for k, ours in enumerate(best_of_betas(a, b)):
        modes = sorted(math.log(each / other) for each, other in zip(a, b, strict=True))
        true, _ = integrate.quad(integrand, -60, 34, args=(k,), points=modes, epsabs=1e-11, limit=400)
        assert ours == pytest.approx(true, abs=2e-9)


def test_a_hundred_million_decisions_cost_no_digits():
    a, b = [1e7, 1e7 + 3000], [9e7, 9e7 - 3000]
    variance = 2 * 0.1 * 0.9 / 1e8
    assert best_of_betas(a, b)[1] == pytest.approx(stats.norm.cdf(3e-5 / math.sqrt(variance)), abs=3e-5)
    assert best_of_betas([1e8, 1e8], [3e8, 3e8]) == pytest.approx((0.5, 0.5), abs=1e-12)
    assert best_of_betas([1.0, 1.0, 1e8], [1e8, 1.0, 1.0])[1] == pytest.approx(1e-8, rel=1e-6)


def test_many_equal_arms_share_equally_and_sum_to_one():
    for shares in (best_of_normals([0.3] * 20, [0.02] * 20), best_of_betas([7.0] * 20, [90.0] * 20)):
        assert shares == pytest.approx([0.05] * 20, abs=1e-13)
        assert math.fsum(shares) == pytest.approx(1, abs=1e-15)


def test_without_spread_the_greatest_means_share():
    assert best_of_normals([0.2, 0.3, 0.3], [0.0, 0.0, 0.0]) == (0.0, 0.5, 0.5)
    known_and_unknown = best_of_normals([0.0, 0.0, 1.0], [0.0, 0.0, 1.0])
    assert known_and_unknown == pytest.approx([(1 - stats.norm.cdf(1)) / 2] * 2 + [stats.norm.cdf(1)], abs=1e-6)


def test_a_grid_that_misses_a_posterior_is_refused():
    def log_density(points):
        centres = np.array([0.0, 30.0])[:, None, None]
        return -((points - centres) ** 2) / 2 - math.log(2 * math.pi) / 2

    with pytest.raises(BanditError, match=r"mass of .* not 1"):
        share_best(log_density, [-9, -4, -2, -1, 0, 1, 2, 4, 9])
    with pytest.raises(BanditError, match="must be finite"):
        best_of_normals([0.0, math.nan], [1.0, 1.0])
    with pytest.raises(BanditError, match=r"at least 0.5, not 0.4"):
        best_of_betas([0.4, 1.0], [1.0, 1.0])
