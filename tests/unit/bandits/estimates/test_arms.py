"""Arms are added, removed and reset, and what is known of the others stays."""

import numpy as np
import pytest

from bandits.errors import BanditError
from bandits.estimates import effects, pooled
from bandits.estimates.comparisons import explained, laplacian
from bandits.estimates.effects_state import EffectsState
from bandits.sums import Period
from tests.unit.bandits.estimates.support import of_groups

ARMS = ("a", "b", "c")
GROUPS = 16


@pytest.fixture
def periods() -> list[Period]:
    """Return periods with decisions enough that the prior is of no account."""
    rng = np.random.default_rng(11)
    drawn = []
    for at in range(6):
        decisions = rng.integers(0, 4000, (GROUPS, 3)) * rng.integers(0, 2, 3)
        drawn.append(of_groups(60 * at, decisions, rng.binomial(decisions, [0.2, 0.3, 0.5])))
    return drawn


def effects_of(periods: list[Period], groups: int = GROUPS) -> EffectsState:
    state = EffectsState.empty(ARMS, groups)
    for each in periods:
        state = effects.fold(state, each)
    return state


def test_an_arm_that_is_removed_changes_nothing_between_the_others(periods):
    before = effects.estimates(effects_of(periods))
    after = effects.estimates(effects_of(periods).with_arms(["c", "a"]))
    assert after.decisions == (before.decisions[2], before.decisions[0])
    assert after.means[0] - after.means[1] == pytest.approx(before.means[2] - before.means[0], abs=1e-5)
    assert _variance(after, 0, 1) == pytest.approx(_variance(before, 2, 0), rel=0.5)
    alone = effects_of([each._replace(groups=()) for each in periods], groups=0)
    of_two = effects.estimates(alone.with_arms(["c", "a"]))
    assert _variance(of_two, 0, 1) == pytest.approx(_variance(effects.estimates(alone), 2, 0), rel=0.02)


def test_the_residuals_of_an_arm_that_is_removed_stay_and_its_effect_takes_a_degree_of_freedom(periods):
    before = effects_of(periods)
    after = before.with_arms(["a", "c"])
    assert after.spare == before.spare - 1
    assert _residual(after) == pytest.approx(_residual(before), rel=1e-9)


def _residual(state: EffectsState) -> float:
    fitted = np.linalg.pinv(np.array(laplacian(state.comparisons))) @ np.array(state.comparisons.excess)
    return state.squares - explained(state.comparisons, fitted.tolist())


def _variance(known, one, other):
    covariance = known.covariance
    return covariance[one][one] + covariance[other][other] - 2 * covariance[one][other]


def test_an_arm_that_is_reset_is_new(periods):
    state = effects_of(periods)
    reset = state.with_arms(ARMS, reset=["b"])
    added = state.with_arms(["a", "c"]).with_arms(["a", "b", "c"])
    assert reset == added
    known = effects.estimates(reset)
    assert known.decisions[1] == 0
    assert _variance(known, 0, 1) > 0.1
    before = effects.estimates(state)
    assert known.means[2] - known.means[0] == pytest.approx(before.means[2] - before.means[0], abs=1e-5)


def test_a_new_arm_joins_periods_from_then_on(periods):
    state = effects_of(periods).with_arms([*ARMS, "d"])
    decisions = np.full((GROUPS, 4), 2000)
    later = of_groups(1000, decisions, np.round(decisions * [0.2, 0.3, 0.5, 0.4]).astype(int))
    known = effects.estimates(effects.fold(state, later))
    assert known.decisions[3] == 2000 * GROUPS
    assert known.means[3] - known.means[0] == pytest.approx(0.2, abs=0.01)


def test_decisions_of_an_arm_that_is_gone_mature_without_it(periods):
    state = effects_of(periods).with_arms(["a", "c"])
    old = periods[-1]._replace(
        begins_s=1000,
        arms=(periods[-1].arms[0], periods[-1].arms[2]),
        groups=tuple((group[0], group[2]) for group in periods[-1].groups),
    )
    assert effects.fold(state, old).decisions == (
        state.decisions[0] + old.arms[0].decisions,
        state.decisions[1] + old.arms[1].decisions,
    )


def test_pooled_means_forget_an_arm_and_nothing_else(periods):
    state = pooled.PooledState.empty(ARMS, GROUPS)
    for each in periods:
        state = pooled.fold(state, each)
    before, after = pooled.estimates(state), pooled.estimates(state.with_arms(["c", "new", "a", "b"], reset=["b"]))
    assert after.decisions == (before.decisions[2], 0, before.decisions[0], 0)
    assert after.means == (before.means[2], 0.5, before.means[0], 0.5)
    assert after.covariance[0][0] == pytest.approx(before.covariance[2][2])


@pytest.mark.parametrize("state", [EffectsState, pooled.PooledState])
def test_arms_need_names_of_their_own(state):
    with pytest.raises(BanditError, match="each with a name of its own"):
        state.empty(ARMS).with_arms(["a", "a"])
