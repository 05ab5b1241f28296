"""P(best) per request is within 1e-6 of the exact value, whatever the means and spreads."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtr

from bandits.linear.fast_best import fast_best
from bandits.linear.normal_table import STEPS, distribution, probability_below


def exact(means, spreads) -> list[float]:
    """Return P(best) by Gauss-Legendre with 16 nodes between all points that are whole spreads from a mean."""
    m, s = np.array(means)[:, None], np.array(spreads)[:, None]
    edges = np.unique(m + s * np.arange(-9, 10))
    nodes, shares = np.polynomial.legendre.leggauss(16)
    half = np.diff(edges)[:, None] / 2
    x = (edges[:-1, None] + half * (nodes + 1)).ravel()
    below, density = ndtr((x - m) / s), np.exp(-(((x - m) / s) ** 2) / 2) / np.sqrt(2 * np.pi) / s
    weights = (half * shares).ravel()
    return [(density[arm] * np.delete(below, arm, 0).prod(0) * weights).sum() for arm in range(len(means))]


def cases(count: int):
    """Yield means and spreads of two to eight arms. Spreads differ by up to a factor of 300."""
    rng = np.random.default_rng(11)
    for _ in range(count):
        arms = int(rng.integers(2, 9))
        spreads = np.exp(rng.uniform(-np.log(10 ** rng.uniform(0, 2.5)), 0, arms))
        unit = rng.choice([spreads.min(), np.median(spreads), spreads.max()])
        yield (rng.normal(size=arms) * 10 ** rng.uniform(-2, 0.5) * unit).tolist(), spreads.tolist()


@pytest.mark.parametrize(
    ("means", "spreads", "wanted"),
    [
        ([0.0, 0.1, 0.2], [0.1, 0.1, 0.1], [0.04715068, 0.2240983, 0.72875102]),
        ([0.0, 0.5, 1.0], [0.05, 0.5, 1.5], [0.04063998, 0.34334012, 0.61601990]),
        ([0.3, 0.3], [0.2, 0.7], [0.5, 0.5]),
        ([0.0] * 8, [1.0] * 8, [1 / 8] * 8),
    ],
)
def test_known_values(means, spreads, wanted):
    assert fast_best(means, spreads) == pytest.approx(wanted, abs=1e-6)


def test_any_means_and_spreads():
    for means, spreads in cases(200):
        found = fast_best(means, spreads)
        assert found == pytest.approx(exact(means, spreads), abs=1e-6)
        assert sum(found) == pytest.approx(1, abs=1e-12)
        assert min(found) >= 0


def test_the_order_of_the_arms_and_the_unit_do_not_matter():
    means, spreads = [0.1, 0.3, 0.25, 0.2], [0.01, 0.4, 0.05, 0.2]
    found = fast_best(means, spreads)
    assert fast_best(means[::-1], spreads[::-1]) == pytest.approx(found[::-1], abs=1e-12)
    assert fast_best([7 * m - 3 for m in means], [7 * s for s in spreads]) == pytest.approx(found, abs=1e-9)


@pytest.mark.parametrize(
    ("means", "spreads", "wanted"),
    [
        ([0.1], [0.2], (1.0,)),
        ([0.1, 0.9, 0.2], [1e-3, 1e-3, 1e-3], (0.0, 1.0, 0.0)),
        ([1e300, 0.0], [1.0, 1.0], (1.0, 0.0)),
        ([1e300, 0.0, 1e300], [1.0, 1.0, 1.0], (0.5, 0.0, 0.5)),
        ([0.2, 0.5, 0.5], [0.0, 0.0, 0.0], (0.0, 0.5, 0.5)),
        ([0.2, 0.5, 0.5], [5e-324, 0.0, 0.0], (0.0, 0.5, 0.5)),
    ],
)
def test_arms_that_are_far_apart_or_known_exactly(means, spreads, wanted):
    assert fast_best(means, spreads) == wanted


def test_spreads_of_nearly_nothing_beside_a_wide_one():
    means, spreads = [0.0, 2e-5, 0.0], [1e-5, 1e-5, 1.0]
    assert fast_best(means, spreads) == pytest.approx(exact(means, spreads), abs=1e-6)
    assert fast_best([0.0, 0.0, -1.0], [1e-9, 1.0, 0.0]) == pytest.approx([0.5, 0.5, 0.0], abs=1e-6)


def test_the_table_of_the_normal_distribution():
    z = np.random.default_rng(0).uniform(-9, 9, 20_000)
    below, density = distribution(z * STEPS)
    assert np.abs(below - stats.norm.cdf(z)).max() < 1e-9
    assert np.abs(density * STEPS - stats.norm.pdf(z)).max() < 1e-6
    assert (below >= 0).all()


def test_one_number_is_as_in_an_array():
    numbers = np.concatenate([np.linspace(-6, 6, 301), [0.0, 1e-9]])
    below, _ = distribution(numbers * STEPS)
    assert [probability_below(each) for each in numbers.tolist()] == below.tolist()
    assert 1 - 1e-11 <= probability_below(1e300) <= 1
    assert 0 <= probability_below(-1e300) <= 1e-11


def test_two_arms_far_apart_have_probabilities_of_0_and_1_at_most():
    for gap in (7.0, 7.2, 7.3, 10.3):
        found = fast_best([0.0, gap], [1.0, 1.0])
        assert 0 <= found[0] <= 1e-6
        assert sum(found) == 1
