"""The model that follows from sums, compared with numpy's solution of the same equations from the rows."""

import numpy as np
import pytest

from bandits.errors import BanditError
from bandits.linear.context import SCALE, Category, Context, Number
from bandits.linear.model import LinearModel
from bandits.linear.scorer import Scorer
from bandits.linear.solve import Bucket, solve
from bandits.linear.sums import MILLION, combine, exposure, nothing
from tests.unit.bandits.linear.support import fitted, summed, vector


def scores(model: LinearModel, context: tuple[int, ...]) -> tuple[float, float]:
    """Return the score and the spread of one arm."""
    found = Scorer([model], len(context), with_spreads=True).scores(context)
    return found.means[0], found.spreads[0]


def direct(rows, rewards, weights, ridge, context) -> tuple[float, float]:
    """Return theta'x and sqrt(x'A^-1 x) from the rows, by numpy."""
    x = np.array(rows) / SCALE
    a = ridge * np.identity(x.shape[1]) + (x * np.array(weights)[:, None]).T @ x
    along = np.linalg.solve(a, np.array(context) / SCALE)
    return along @ (x.T @ (np.array(weights) * rewards)), np.sqrt(along @ np.array(context) / SCALE)


@pytest.mark.parametrize("ridge", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("size", [1, 3, 64])
def test_the_model_is_ridge_regression_on_the_weighted_rows(size, ridge):
    rng = np.random.default_rng(size)
    rows = np.hstack([np.full((200, 1), SCALE), rng.integers(0, SCALE + 1, (200, size - 1))]).tolist()
    rewards = rng.integers(0, MILLION + 1, 200)
    parts = [exposure(row, int(reward)) for row, reward in zip(rows, rewards, strict=True)]
    levels = np.repeat([0.3, 0.5], 100)
    buckets = [
        Bucket(combine(parts[:100], size), weight=0.25, level=0.3),
        Bucket(combine(parts[100:], size), weight=1.0, level=0.5),
    ]
    model = solve(buckets, size, ridge)
    weights = np.repeat([0.25, 1.0], 100)
    for context in rows[:10]:
        wanted = direct(rows, rewards / MILLION - levels, weights, ridge, context)
        assert scores(model, tuple(context)) == pytest.approx(wanted, rel=1e-9, abs=1e-9)


def test_an_arm_without_decisions_scores_0_with_the_spread_of_the_ridge_alone():
    for buckets in ([], [Bucket(nothing(2))]):
        assert scores(solve(buckets, 2, ridge=4.0), (SCALE, SCALE)) == pytest.approx((0.0, np.sqrt(2 / 4)))


def test_a_level_that_all_arms_share_does_not_favour_the_arm_that_was_served_at_good_times():
    """Two equal arms; by day rewards are .6, at night .2. One arm is served by day, the other at night."""
    by_day, at_night = summed([[1.0]] * 90, [0.6] * 90), summed([[1.0]] * 10, [0.2] * 10)
    few_by_day, often_at_night = summed([[1.0]] * 10, [0.6] * 10), summed([[1.0]] * 90, [0.2] * 90)
    pooled = [
        solve([Bucket(day), Bucket(night)], 1) for day, night in ((by_day, at_night), (few_by_day, often_at_night))
    ]
    levelled = [
        solve([Bucket(day, level=0.6), Bucket(night, level=0.2)], 1)
        for day, night in ((by_day, at_night), (few_by_day, often_at_night))
    ]
    assert scores(pooled[0], (SCALE,))[0] - scores(pooled[1], (SCALE,))[0] > 0.3
    assert [scores(model, (SCALE,))[0] for model in levelled] == pytest.approx([0, 0], abs=1e-12)


def test_a_bucket_of_weight_0_is_forgotten():
    old, new = summed([[1.0, 0.5]] * 9, [1.0] * 9), summed([[1.0, 0.5]] * 9, [0.0] * 9)
    assert solve([Bucket(old, weight=0.0), Bucket(new)], 2) == solve([Bucket(new)], 2)


def test_a_collinear_category_keeps_its_small_spread_after_many_decisions():
    """An intercept and all words of a category depend on each other, so entries of A^-1 stay near 1/ridge."""
    context = Context((Category("c", ("a", "b")), Number("x", 0, 1, 0)))
    rows = [context.encode([word, x]) for word in ("a", "b", "z", None) for x in (0.0, 0.25, 1.0)]
    each = 10**7
    sums = combine([exposure(row, MILLION // 2) for row in rows], len(rows[0]))
    many = sums._replace(
        decisions=each * sums.decisions,
        products=tuple(each * number for number in sums.products),
        rewarded=tuple(each * number for number in sums.rewarded),
    )
    model = solve([Bucket(many)], len(rows[0]))
    x = np.array(rows) / SCALE
    exact = np.diag(x @ np.linalg.pinv(each * x.T @ x) @ x.T)
    for row, variance in zip(rows, exact, strict=True):
        mean, spread = scores(model, row)
        assert mean == pytest.approx(0.5, abs=1e-6)
        assert spread == pytest.approx(np.sqrt(variance), rel=1e-4)


def test_a_ridge_that_cannot_serve_is_refused():
    for ridge in (0.0, -1.0, float("nan")):
        with pytest.raises(BanditError, match="above 0"):
            solve([], 1, ridge)
    with pytest.raises(BanditError, match="larger ridge"):
        solve([Bucket(summed([[1.0, 1.0]] * 5, [0.0] * 5))], 2, ridge=1e-20)


HISTORY = [
    [0, 1, 2, 3, 5],
    [1, 1, 1, 1, 1],
    [0, 0, 1, 0, 0],
    [0, 2, 2, 3, 5],
    [1, 3, 1, 1, 1],
    [0, 0, 0, 0, 0],
    [0, 1, 4, 3, 5],
    [0, 1, 2, 4, 5],
    [1, 2, 1, 1, 3],
    [0, 2, 1, 0, 0],
]
"""Contexts of MABWiser's test of LinUCB (https://github.com/fidelity/mabwiser, Apache-2.0, `tests/test_linucb.py`)."""


@pytest.mark.parametrize(
    ("alpha", "decisions", "rewards", "wanted"),
    [
        (
            0,
            [1, 1, 1, 2, 2, 2, 3, 3, 3, 1],
            [0, 0, 0, 0, 0, 0, 1, 1, 1, 1],
            ([-0.018378378378378413, 0.0, 0.9966292134831471], [0.14054054054054055, 0.0, 0.43258426966292074]),
        ),
        (
            1,
            [1, 1, 1, 2, 2, 3, 3, 3, 3, 3],
            [0, 0, 1, 0, 0, 0, 0, 1, 1, 1],
            (
                [0.9790312458954391, 1.1617706239438832, 1.4247056229871702],
                [0.8896475809353053, 0.923364043088837, 1.457085577251709],
            ),
        ),
    ],
)
def test_mabwisers_bounds_of_linucb(alpha, decisions, rewards, wanted):
    """An eighth of their features with a 64th of their ridge penalty is the same model."""
    small = (np.array(HISTORY) / 8).tolist()
    arms = [
        fitted(
            [x for x, each in zip(small, decisions, strict=True) if each == arm],
            [r for r, each in zip(rewards, decisions, strict=True) if each == arm],
            ridge=1 / 64,
        )
        for arm in (1, 2, 3)
    ]
    scorer = Scorer(arms, 5, with_spreads=True)
    for context, bounds in zip(([0, 1, 2, 3, 5], [1, 1, 1, 1, 1]), wanted, strict=True):
        found = scorer.scores(vector(feature / 8 for feature in context))
        ours = [mean + alpha * spread for mean, spread in zip(found.means, found.spreads, strict=True)]
        assert ours == pytest.approx(bounds, abs=1e-9)
