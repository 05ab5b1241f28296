"""Each policy on scores that are known, and what all of them promise."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandits.errors import BanditError
from bandits.linear.policies.epsilon_greedy import LinearEpsilonGreedy
from bandits.linear.policies.linucb import LinUCB
from bandits.linear.policies.square_cb import SquareCB
from bandits.linear.policies.thompson import LinearThompson
from bandits.linear.scorer import Scores

POLICIES = [LinearEpsilonGreedy(0.1), LinUCB(0.25), LinearThompson(0.1), SquareCB(10.0)]


def scores(means, spreads=None) -> Scores:
    return Scores(tuple(means), tuple(spreads or [1.0] * len(means)))


@pytest.mark.parametrize(
    ("policy", "means", "spreads", "wanted"),
    [
        (LinearEpsilonGreedy(0.3), (0.2, 0.5, 0.1), (), (0.1, 0.8, 0.1)),
        (LinearEpsilonGreedy(0.0), (0.2, 0.5), (), (0.0, 1.0)),
        (LinearEpsilonGreedy(1.0), (0.2, 0.5), (), (0.5, 0.5)),
        (LinUCB(0.0), (0.2, 0.5, 0.1), (9.0, 0.0, 9.0), (0.0, 1.0, 0.0)),
        (LinUCB(0.5), (0.2, 0.5, 0.1), (1.0, 0.2, 0.5), (1.0, 0.0, 0.0)),
        (SquareCB(10.0), (1.0, 0.5), (), (0.85714, 0.14286)),
        (SquareCB(0.0), (1.0, 0.5, 0.2), (), (1 / 3, 1 / 3, 1 / 3)),
        (SquareCB(1e9), (0.0, 0.1), (), (0.0, 1.0)),
        (LinearThompson(0.1), (0.0, 0.1, 0.2), (1.0, 1.0, 1.0), (0.04715068, 0.2240983, 0.72875102)),
        (LinearThompson(0.5), (0.0, 0.5, 1.0), (0.1, 1.0, 3.0), (0.04063998, 0.34334012, 0.61601990)),
    ],
)
def test_weights_of_known_scores(policy, means, spreads, wanted):
    assert policy.weights(Scores(means, spreads)) == pytest.approx(wanted, abs=5e-6)


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [
        (LinearEpsilonGreedy(0.3), (0.1, 0.45, 0.45)),
        (LinUCB(0.25), (0.0, 0.5, 0.5)),
        (LinearThompson(0.01), (0.0, 0.5, 0.5)),
    ],
)
@pytest.mark.parametrize("spread", [0.0, 0.1])
def test_arms_that_are_equally_good_share_equally(policy, wanted, spread):
    weights = policy.weights(scores((0.0, 0.5, 0.5), (spread,) * 3))
    assert weights == pytest.approx(wanted)
    assert weights[1] == weights[2]


def test_with_square_cb_the_first_of_several_best_arms_gets_the_rest():
    assert SquareCB(10.0).weights(scores((0.0, 0.5, 0.5))) == pytest.approx((1 / 8, 1 - 1 / 8 - 1 / 3, 1 / 3))


@pytest.mark.parametrize("policy", POLICIES)
@given(
    arms=st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(0, 1e3, allow_subnormal=False)), min_size=1, max_size=10)
)
def test_weights_are_probabilities(policy, arms):
    weights = policy.weights(scores(*map(list, zip(*arms, strict=True))))
    assert len(weights) == len(arms)
    assert sum(weights) == pytest.approx(1, abs=1e-12)
    assert min(weights) >= 0


@pytest.mark.parametrize("policy", POLICIES)
@given(arms=st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_a_higher_score_never_has_less_weight_if_spreads_are_equal(policy, arms):
    weights = policy.weights(scores(arms))
    ranked = sorted(zip(arms, weights, strict=True))
    assert all(low[1] <= high[1] + 1e-6 for low, high in pairwise(ranked) if low[0] + 1e-9 < high[0])


@pytest.mark.parametrize("kind", [LinearEpsilonGreedy, LinUCB, LinearThompson, SquareCB])
@pytest.mark.parametrize("parameter", [-0.1, float("inf"), float("nan")])
def test_a_parameter_that_means_nothing_is_refused(kind, parameter):
    with pytest.raises(BanditError, match="Choose"):
        kind(parameter)
