"""Decisions of a unit hang together, and the variance between groups of units knows it."""

import numpy as np
import pytest

from bandits.estimates import effects, pooled
from bandits.estimates.effects_state import EffectsState
from bandits.estimates.estimates import Estimates
from bandits.estimates.groups import clustered, jackknife
from bandits.sums import Period
from tests.unit.bandits.estimates.support import events, of_groups

GROUPS = 64
ARMS = ("a", "b")


def error(known: Estimates) -> float:
    """Return the standard error of the difference between the first two arms."""
    (one, shared, *_), (_, other, *_) = known.covariance[:2]
    return float(np.sqrt(one + other - 2 * shared))


def with_units(periods: list[Period], arms: tuple[str, ...] = ARMS) -> EffectsState:
    state = EffectsState.empty(arms, GROUPS)
    for each in periods:
        state = effects.fold(state, each)
    return state


def sticky(rng: np.random.Generator, units: int, strength: float, each: int = 50, periods: int = 5) -> list[Period]:
    """Return periods of units with `each` decisions at rates about 10 %, which differ by `strength` (0 to 1)."""
    rates = rng.beta(0.1 / strength - 0.1, 0.9 / strength - 0.9, units) if strength else np.full(units, 0.1)
    cell = rng.integers(0, GROUPS, units) * 2 + rng.integers(0, 2, units)
    drawn = []
    for at in range(periods):
        decisions = rng.multinomial(units * each // periods, np.full(units, 1 / units))
        sums = [
            np.bincount(cell, of, 2 * GROUPS).reshape(GROUPS, 2) for of in (decisions, rng.binomial(decisions, rates))
        ]
        drawn.append(of_groups(10 * at, *sums))
    return drawn


def test_what_is_kept_of_a_group_is_the_estimate_without_it():
    rng = np.random.default_rng(5)
    periods = []
    for at in range(4):
        decisions = rng.integers(0, 4, (GROUPS, 3))
        periods.append(of_groups(10 * at, decisions, rng.binomial(decisions, 0.3)))
    state = with_units(periods, ("a", "b", "c"))
    for left_out in (0, 17):
        rest = EffectsState.empty(("a", "b", "c"))
        for each in periods:
            kept = np.array([group for index, group in enumerate(each.groups) if index != left_out])[:, :, :2].sum(
                axis=0
            )
            rest = effects.fold(rest, Period(each.begins_s, events(kept[:, 0], kept[:, 1] // 1_000_000)))
        for known, expected in zip(state.groups[left_out].without, rest.comparisons, strict=True):
            assert known == pytest.approx(expected, abs=1e-12)


def test_the_jackknife_of_a_mean_is_the_variance_of_the_mean():
    values = np.random.default_rng(1).normal(size=20)
    without = [[(values.sum() - value) / 19] for value in values]
    assert jackknife([values.mean()], without)[0] == pytest.approx(values.var(ddof=1) / 20)


def test_two_equal_arms_are_rarely_found_different_however_unlike_units_are():
    """At most 7 % of runs may have P(best) > .95 for either arm. At 5 %, 20 of 200 runs have it with odds of .3 %."""
    rng = np.random.default_rng(2)
    scores, naive = [], []
    for _ in range(200):
        periods = sticky(rng, 400, 1 / 3, periods=2)
        known = effects.estimates(with_units(periods))
        scores.append((known.means[0] - known.means[1]) / error(known))
        naive.append((known.means[0] - known.means[1]) / error(effects.estimates(without_units(periods))))
    assert np.mean(np.abs(scores) > 1.645) < 0.1
    assert np.std(scores) > 0.7  # it is not cautious beyond need
    assert np.mean(np.abs(naive) > 1.645) > 0.4  # what would be said of decisions that are independent


def without_units(periods: list[Period]) -> EffectsState:
    state = EffectsState.empty(ARMS)
    for each in periods:
        state = effects.fold(state, each._replace(groups=()))
    return state


def test_the_variance_is_never_less_than_that_of_independent_decisions():
    decisions = np.full((GROUPS, 2), 10)
    alike = of_groups(0, decisions, np.full((GROUPS, 2), 1))  # one reward in each group, more regular than chance
    assert error(effects.estimates(with_units([alike]))) == pytest.approx(
        error(effects.estimates(without_units([alike])))
    )


def test_units_in_few_groups_say_nothing():
    decisions = np.zeros((GROUPS, 2), dtype=int)
    decisions[:3] = 1000
    few = with_units([of_groups(0, decisions, np.round(decisions * [0.1, 0.2]).astype(int))])
    assert error(effects.estimates(few)) > 0.35
    means = pooled.PooledState.empty(ARMS, GROUPS)
    assert error(pooled.estimates(pooled.fold(means, of_groups(0, decisions, decisions // 10)))) > 0.35


def test_decisions_without_a_unit_are_units_of_their_own():
    alone = Period(0, events([3200, 3200], [320, 640]), ())
    assert error(effects.estimates(with_units([alone]))) == pytest.approx(
        error(effects.estimates(without_units([alone])))
    )


def test_half_of_the_decisions_may_have_no_unit():
    """The jackknife sees half of the variance: that of the decisions with a unit."""
    with_and_without = clustered(1.0, 0.5, [10.0] * GROUPS, 1280.0, 1.0)
    assert with_and_without == pytest.approx(0.5 + 0.5 * 1.42 * 63 / 59)


def test_a_discount_keeps_the_variance_between_groups_on_the_footing_of_decisions():
    """Independent decisions: after many half-lives, both variances are those of the decisions that are left."""
    rng = np.random.default_rng(8)
    ratios = []
    for _ in range(15):
        plain, grouped = EffectsState.empty(ARMS), EffectsState.empty(ARMS, GROUPS)
        for each in sticky(rng, 400, 0.0, each=20, periods=10):
            grouped = effects.fold(grouped, each, half_life_s=20)
            plain = effects.fold(plain, each._replace(groups=()), half_life_s=20)
        ratios.append((error(effects.estimates(grouped)) / error(effects.estimates(plain))) ** 2)
    assert np.mean(ratios) == pytest.approx(1.42 * 62 / 58, abs=0.2)


def test_pooled_means_know_of_units_too():
    rng = np.random.default_rng(4)
    state, plain = pooled.PooledState.empty(ARMS, GROUPS), pooled.PooledState.empty(ARMS)
    for each in sticky(rng, 640, 1 / 3):
        state = pooled.fold(state, each)
        plain = pooled.fold(plain, each._replace(groups=()))
    design_effect = 1 + 49 / 3
    ratio = (error(pooled.estimates(state)) / error(pooled.estimates(plain))) ** 2
    assert ratio == pytest.approx(1.42 * design_effect, rel=0.4)


def test_an_arm_without_decisions_has_its_prior_variance():
    assert clustered(0.05, 0.0, [0.0] * GROUPS, 0.0, 1.0) == 0.05
