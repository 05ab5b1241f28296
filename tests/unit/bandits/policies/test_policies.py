"""Each policy gives the weights of its formula, published values, and those of other libraries."""

import math

import numpy as np
import pytest
from scipy import optimize, stats

from bandits.best.correlated import best_of_correlated
from bandits.estimates.estimates import Estimates
from bandits.policies.choose import POLICY_NAMES, choose_policy
from bandits.policies.epsilon_greedy import EpsilonGreedy
from bandits.policies.exp3 import Exp3
from bandits.policies.kl_ucb import KLUCB
from bandits.policies.softmax import Softmax
from bandits.policies.thompson import Thompson
from bandits.policies.thompson_beta import ThompsonBeta
from bandits.policies.top_two import TopTwo, from_best
from bandits.policies.ucb1 import UCB1
from tests.unit.bandits.support import estimates

FOUR = estimates([900, 1000, 1100, 1200], [0.10, 0.12, 0.14, 0.18])
# Rewards 1 0 0 1 | 0 0 1 0 0 | 1 1 0 1 1 0 | 0 0 1, given to mabwiser 2.7.4 as the arms a, b, c, d.
MABWISER = estimates([4, 5, 6, 3], [1 / 2, 1 / 5, 2 / 3, 1 / 3])


def test_epsilon_greedy_explores_with_epsilon():
    assert EpsilonGreedy(0.2).weights(FOUR) == pytest.approx((0.05, 0.05, 0.05, 0.85), abs=1e-15)
    assert EpsilonGreedy(0.0).weights(FOUR) == (0.0, 0.0, 0.0, 1.0)


def test_softmax_has_the_published_weights():
    # lambda = 0.2 is a temperature of 5.
    weights = Softmax(5.0).weights(estimates([1, 1, 1, 1], [1.0, 2.0, 3.0, 8.0]))
    assert weights == pytest.approx((0.128, 0.157, 0.192, 0.522), abs=1e-3)


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [
        (1.0, (0.2653462782235109, 0.19657335769805742, 0.3134695887944894, 0.2246107752839423)),
        (0.2, (0.25260790764756313, 0.05636444288816054, 0.5812447053459239, 0.10978294411835239)),
    ],
)
def test_softmax_equals_mabwisers(temperature, expected):
    assert Softmax(temperature).weights(MABWISER) == pytest.approx(expected, rel=1e-14)


def test_a_low_temperature_does_not_overflow():
    assert Softmax(0.0001).weights(FOUR) == pytest.approx((0, 0, 0, 1), abs=1e-100)


def test_ucb1_equals_mabwisers():
    indices = (1.7021588409807094, 1.2752435552740904, 1.6482252500594536, 1.7214667942311352)
    assert UCB1().indices(MABWISER) == pytest.approx(indices, rel=1e-14)
    assert UCB1().weights(MABWISER) == (0.0, 0.0, 0.0, 1.0)
    # mabwiser's alpha multiplies the root: 1.5 there is a width of 2 * 1.5² here.
    wider = (2.303238261471064, 1.8128653329111357, 2.139004541755847, 2.4155335246800367)
    assert UCB1(4.5).indices(MABWISER) == pytest.approx(wider, rel=1e-14)


def test_kl_ucb_is_the_root_of_its_equation():
    limit = math.log(sum(FOUR.decisions))
    for n, mean, index in zip(FOUR.decisions, FOUR.means, KLUCB().indices(FOUR), strict=True):

        def excess(q, n=n, mean=mean):
            return n * stats.entropy([mean, 1 - mean], [q, 1 - q]) - limit

        assert index == pytest.approx(optimize.brentq(excess, mean, 1 - 1e-9, xtol=1e-14), abs=1e-12)
    assert KLUCB().weights(FOUR) == (0.0, 0.0, 0.0, 1.0)


def test_kl_ucb_at_the_ends():
    indices = KLUCB().indices(estimates([10, 10, 10], [0.0, 1.0, 1.2]))
    # Of no success in n decisions the index is 1 - t^(-1/n).
    assert indices == pytest.approx((1 - 30 ** (-1 / 10), 1.0, 1.0), rel=1e-12)


@pytest.mark.parametrize("policy", [UCB1(), KLUCB()])
def test_arms_without_a_decision_come_first_and_share(policy):
    new = Estimates((50.0, 0.0, 0.0), (0.9, 0.1, 0.4), ((0.0,) * 3,) * 3)
    assert policy.weights(new) == (0.0, 0.5, 0.5)


def test_thompson_is_the_probability_of_being_best():
    spreads = (0.05, 0.5, 1.5)
    rows = tuple(tuple(s * s if i == j else 0.0 for j in range(3)) for i, s in enumerate(spreads))
    weights = Thompson().weights(Estimates((9.0, 9.0, 9.0), (0.0, 0.5, 1.0), rows))
    assert weights == pytest.approx((0.04063998, 0.34334012, 0.61601990), abs=6e-9)


def test_thompson_uses_what_is_known_of_common_errors():
    rows = ((0.02, 0.0199), (0.0199, 0.02))
    assert Thompson().weights(Estimates((9.0, 9.0), (0.1, 0.13), rows))[1] == pytest.approx(
        stats.norm.cdf(0.03 / math.sqrt(0.0002)), rel=1e-9
    )


def test_thompson_beta_counts_from_a_uniform_prior():
    weights = ThompsonBeta().weights(estimates([100, 100], [0.10, 0.15]))
    assert weights == pytest.approx((0.14671621, 0.85328379), abs=5e-9)
    assert ThompsonBeta().weights(Estimates((1.0, 0.0), (1.0, 0.5), ((0.0,) * 2,) * 2)) == pytest.approx((2 / 3, 1 / 3))


def test_thompson_beta_equals_the_frequencies_of_mabwisers_draws():
    # 200,000 draws, so the standard error is at most .0011.
    frequencies = (0.255565, 0.032925, 0.57977, 0.13174)
    assert ThompsonBeta().weights(MABWISER) == pytest.approx(frequencies, abs=0.0045)


def test_top_two_follows_its_formula():
    a = best_of_correlated(FOUR.means, FOUR.covariance)
    for keep in (0.3, 0.5, 0.9):
        expected = [
            keep * a[i] + (1 - keep) * sum(a[j] * a[i] / (1 - a[j]) for j in range(4) if j != i) for i in range(4)
        ]
        assert TopTwo(keep).weights(FOUR) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("best", [1.0, 1 - 1e-16, 1 - 1e-13, 1 - 1e-9, 0.999])
def test_top_two_keeps_its_share_for_the_best_arm_however_sure_it_is(best):
    rest = (1 - best) / 3
    weights = from_best((rest, best, rest, rest), 0.6)
    assert weights[1] == pytest.approx(0.6 * best + 0.4 * (1 - best) * best / (1 - rest), abs=1e-12)
    assert weights[0] == weights[2] == weights[3] == pytest.approx((1 - weights[1]) / 3, rel=1e-9)
    assert math.fsum(weights) == pytest.approx(1, abs=1e-15)


def test_top_two_with_far_arms_is_finite_and_with_one_arm_certain():
    far = estimates([1000, 1000, 1000], [0.1, 0.1, 0.9], variance=0.01)
    assert TopTwo().weights(far) == pytest.approx((0.25, 0.25, 0.5), abs=1e-9)
    assert TopTwo().weights(estimates([10], [0.1])) == (1.0,)


def test_exp3_equals_the_multiplicative_updates_of_its_source():
    rng = np.random.default_rng(3)
    rates, exploration, count = np.array([0.2, 0.5, 0.3]), 0.15, 3
    own, gains = np.ones(count), np.zeros(count)
    decisions = np.zeros(count)
    for step in range(300):
        weights = (1 - exploration) * own / own.sum() + exploration / count
        if step:
            known = Estimates(tuple(decisions), tuple(gains / step), ((0.0,) * 3,) * 3)
            assert Exp3(exploration).weights(known) == pytest.approx(weights, rel=1e-9)
        arm = rng.choice(count, p=weights)
        estimate = (rng.random() < rates[arm]) / weights[arm]
        own[arm] *= math.exp(exploration * estimate / count)
        gains[arm] += estimate
        decisions[arm] += 1


@pytest.mark.parametrize("name", POLICY_NAMES)
def test_equal_arms_share_equally_whatever_their_order(name):
    equal = estimates([400, 400, 400, 400], [0.1, 0.3, 0.3, 0.3])
    weights = choose_policy(name, {}).weights(equal)
    assert weights[1:] == pytest.approx([weights[1]] * 3, abs=1e-12)
    assert math.fsum(weights) == pytest.approx(1, abs=1e-12)
    order = [2, 1, 3, 0]
    moved = choose_policy(name, {}).weights(estimates([400] * 4, [equal.means[arm] for arm in order]))
    assert moved == pytest.approx([weights[arm] for arm in order], abs=1e-12)


@pytest.mark.parametrize("name", POLICY_NAMES)
def test_weights_are_probabilities_for_any_estimates(name):
    rng = np.random.default_rng(20_261_130)
    policy = choose_policy(name, {})
    for count in (1, 2, 3, 6):
        for size in (3, 300, 1e6):
            noisy = estimates((1 + rng.random(count) * size).tolist(), rng.uniform(0, 1, count).tolist())
            weights = policy.weights(noisy)
            assert len(weights) == count
            assert min(weights) >= 0
            assert math.fsum(weights) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", POLICY_NAMES)
def test_the_best_of_well_known_arms_has_the_greatest_weight(name):
    known = estimates([5000] * 3, [0.2, 0.8, 0.4])
    weights = choose_policy(name, {}).weights(known)
    assert max(weights) == weights[1] > 0.45


CORRELATED = Estimates(
    (400.0, 300.0, 200.0),
    (0.12, 0.14, 0.15),
    ((0.0003, 0.0001, 0.0001), (0.0001, 0.0004, 0.00005), (0.0001, 0.00005, 0.0006)),
)
BITS = {
    "thompson": ["0x1.46f0cd399c36ap-5", "0x1.656f08f8519f1p-2", "0x1.38d96eb03d6d1p-1"],
    "thompson-beta": ["0x1.fafc50aeb3405p-5", "0x1.5ba4660c7f26fp-2", "0x1.327e07eed5389p-1"],
    "top-two": ["0x1.fbed3b15b8c51p-5", "0x1.d2e53b76ea2acp-2", "0x1.ed9d1d265ebcap-2"],
    "epsilon-greedy": ["0x1.1111111111111p-5", "0x1.1111111111111p-5", "0x1.ddddddddddddep-1"],
    "softmax": ["0x1.dabd594d3d1fcp-3", "0x1.621d39c6c81e6p-2", "0x1.b08419929951cp-2"],
    "ucb1": ["0x0.0p+0", "0x0.0p+0", "0x1.0000000000000p+0"],
    "kl-ucb": ["0x0.0p+0", "0x0.0p+0", "0x1.0000000000000p+0"],
    "exp3": ["0x1.a13e678baf3c2p-3", "0x1.60127bcbe12f3p-2", "0x1.cf4e506e4732dp-2"],
}


@pytest.mark.parametrize("name", POLICY_NAMES)
def test_bits_stay_what_they_are_on_every_machine(name):
    # A change of a bit changes what replay computes. Then the policy's decisions so far cannot be replayed.
    assert [weight.hex() for weight in choose_policy(name, {}).weights(CORRELATED)] == BITS[name]
