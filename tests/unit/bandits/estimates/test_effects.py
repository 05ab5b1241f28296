"""Arms are estimated by what they differ by within periods."""

import numpy as np
import pytest

from bandits.errors import BanditError
from bandits.estimates import pooled
from bandits.estimates.effects import estimates, fold
from bandits.estimates.effects_state import EffectsState
from bandits.estimates.estimates import Estimates
from bandits.sums import MILLION, ArmSum, Period
from tests.unit.bandits.estimates.support import period

ARMS = ("a", "b")


def folded(arms: tuple[str, ...], *periods: Period, half_life_s: float | None = None) -> EffectsState:
    state = EffectsState.empty(arms)
    for each in periods:
        state = fold(state, each, half_life_s)
    return state


def difference(known: Estimates, one: int = 0, other: int = 1) -> float:
    return known.means[one] - known.means[other]


def error(known: Estimates, one: int = 0, other: int = 1) -> float:
    """Return the standard error of the difference between two arms."""
    covariance = known.covariance
    return float(np.sqrt(covariance[one][one] + covariance[other][other] - 2 * covariance[one][other]))


def test_of_one_period_the_means_are_those_of_the_arms_and_independent():
    known = estimates(folded(("a", "b", "c"), period(0, [4000, 2000, 1000], [800, 200, 300])))
    assert known.decisions == (4000, 2000, 1000)
    assert known.means == pytest.approx((0.2, 0.1, 0.3), abs=1e-3)
    assert np.array(known.covariance) == pytest.approx(np.diag(np.diag(known.covariance)), abs=2e-7)
    shared = (800 * 0.8 + 200 * 0.9 + 300 * 0.7) / 7000
    assert known.covariance[0][0] == pytest.approx(0.2 * 0.8 / 4000, rel=0.01)  # an arm's own variance, if it is larger
    assert known.covariance[1][1] == pytest.approx(shared / 2000, rel=0.01)
    assert known.covariance[2][2] == pytest.approx(0.3 * 0.7 / 1000, rel=0.04)


def test_a_level_that_drifts_while_weights_move_fools_the_pooled_means_alone():
    drift = [period(10 * at, *_equal_arms(rate, share)) for at, (rate, share) in enumerate([(0.1, 0.9), (0.3, 0.1)])]
    known = estimates(folded(ARMS, *drift))
    assert difference(known) == pytest.approx(0, abs=1e-12)
    state = pooled.PooledState.empty(ARMS)
    for each in drift:
        state = pooled.fold(state, each)
    assert difference(pooled.estimates(state)) == pytest.approx(0.12 - 0.28)


def _equal_arms(rate: float, share: float) -> tuple[list[int], list[int]]:
    decisions = [round(1000 * share), round(1000 * (1 - share))]
    return decisions, [round(rate * count) for count in decisions]


def test_means_are_at_the_level_of_the_newest_periods():
    periods = [period(10 * at, [5000, 5000], [500, 1000]) for at in range(3)]
    later = [period(100 + 10 * at, [5000, 5000], [2500, 3000]) for at in range(3)]
    assert estimates(folded(ARMS, *periods)).means == pytest.approx((0.1, 0.2), abs=1e-3)
    assert estimates(folded(ARMS, *periods, *later)).means == pytest.approx((0.5, 0.6), abs=0.01)


def test_means_stay_in_the_range_without_changing_what_arms_differ_by():
    before = estimates(folded(ARMS, period(0, [5000, 5000], [500, 2500])))
    after = estimates(folded(ARMS, period(0, [5000, 5000], [500, 2500]), period(10, [90_000, 0], [0, 0])))
    assert difference(after) == pytest.approx(difference(before), abs=1e-3)
    assert after.means[0] >= 0


@pytest.mark.parametrize("arms", [("a",), ARMS, ("a", "b", "c", "d")])
def test_without_any_data_arms_are_alike_and_as_uncertain_as_the_range_is_wide(arms):
    known = estimates(EffectsState.empty(arms))
    assert known.means == (0.5,) * len(arms)
    for other in range(1, len(arms)):
        assert error(known, 0, other) == pytest.approx((2 / 12) ** 0.5)


def test_an_arm_without_decisions_lies_between_the_others_and_is_wide():
    known = estimates(folded(("a", "b", "c"), period(0, [5000, 5000, 0], [500, 1000, 0])))
    assert known.means[2] == pytest.approx(0.15, abs=1e-3)
    assert error(known, 0, 2) > 0.3
    assert error(known, 0, 1) == pytest.approx(((0.09 + 0.16) / 2 * 2 / 5000) ** 0.5, rel=0.1)


def test_arms_that_never_met_are_not_compared():
    apart = estimates(folded(ARMS, period(0, [5000, 0], [500, 0]), period(10, [0, 5000], [0, 2500])))
    assert difference(apart) == pytest.approx(0, abs=1e-9)
    assert (2 / 12) ** 0.5 < error(apart) < 0.5
    through = period(20, [500, 0, 500], [50, 0, 100]), period(30, [0, 500, 500], [0, 250, 300])
    linked = estimates(folded(("a", "b", "c"), *through))
    assert difference(linked) == pytest.approx((0.1 - 0.2) + (0.6 - 0.5), abs=0.01)


@pytest.mark.parametrize("decisions", [10, 100, 1000])
def test_no_reward_yet_is_not_certain_to_stay_so(decisions):
    none = estimates(folded(ARMS, period(0, [decisions, decisions], [0, 0])))
    assert error(none) > 0.9 / decisions
    rare = estimates(folded(ARMS, period(0, [20 * decisions, decisions], [2 * decisions, 0])))
    assert rare.covariance[1][1] > 0.5 * 0.1 * 0.9 / decisions  # of rewards that vary as those of the other arm


def test_an_arm_whose_rewards_vary_more_is_less_certain():
    steady, wild = ArmSum(2000, 1000 * MILLION, 505 * MILLION), ArmSum(2000, 1000 * MILLION, 900 * MILLION)
    known = estimates(folded(ARMS, Period(0, (steady, wild))))
    assert known.covariance[1][1] == pytest.approx((900 / 2000 - 0.25) / 2000, rel=0.06)
    assert known.covariance[0][0] < known.covariance[1][1]


def test_half_of_what_is_known_is_left_after_a_half_life():
    periods = period(0, [1000, 1000], [100, 200]), period(600, [1000, 1000], [200, 100])
    known = estimates(folded(ARMS, *periods, half_life_s=600))
    assert known.decisions == (1500, 1500)
    assert difference(known) == pytest.approx((0.5 * -0.1 + 0.1) / 1.5, abs=1e-3)
    assert error(known) > error(estimates(folded(ARMS, *periods)))


@pytest.mark.parametrize("half_lives", [50, 500, 1000, 5000])
def test_after_an_age_arms_are_as_new(half_lives):
    later = period(100 * half_lives, [0, 0], [0, 0])
    known = estimates(folded(ARMS, period(0, [5000, 5000], [100, 4000]), later, half_life_s=100))
    assert difference(known) == pytest.approx(0, abs=1e-6)
    assert error(known) == pytest.approx((2 / 12) ** 0.5, rel=1e-6)


def test_two_versions_of_the_document_may_share_a_bucket():
    known = estimates(folded(ARMS, period(0, [900, 100], [90, 10]), period(0, [100, 900], [30, 270])))
    assert difference(known) == pytest.approx(0, abs=1e-12)


def test_a_period_is_refused_if_it_cannot_be_the_next():
    state = folded(ARMS, period(60, [10, 10], [1, 1]))
    with pytest.raises(BanditError, match="older than the newest one, 60 s"):
        fold(state, period(50, [10, 10], [1, 1]))
    with pytest.raises(BanditError, match="one sum for each of the 2 arms"):
        fold(state, period(70, [10, 10, 10], [1, 1, 1]))
    one, two = (ArmSum(1, 0, 0), ArmSum(1, 0, 0)), (ArmSum(2, 0, 0), ArmSum(1, 0, 0))
    with pytest.raises(BanditError, match="0 groups of units, but the period 1"):
        fold(state, Period(70, two, (one,)))
    with pytest.raises(BanditError, match="more decisions than their arm"):
        fold(EffectsState.empty(ARMS, 1), Period(70, one, (two,)))


def test_arms_need_names_of_their_own():
    for arms in ((), ("a", "a")):
        with pytest.raises(BanditError, match="each with a name of its own"):
            EffectsState.empty(arms)
