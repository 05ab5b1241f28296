"""Policies of bandits beside those of MABWiser and Vowpal Wabbit, on the same data.

Both libraries install on Python 3.11, and both are asked. What differs by intention, and is not compared:

- UCB1: MABWiser's `alpha` multiplies the root, so our `width` is 2 alpha^2. An arm without a decision has the index 0
  there, and is infinitely promising here.
- Softmax: MABWiser computes the probabilities, but draws the arm in another way (the greatest number of a Dirichlet
  distribution). So the probabilities are compared, not the draws.
- Epsilon-greedy and Thompson sampling: MABWiser draws, we compute. So shares of draws are compared, within five
  standard errors.
- Linear Thompson sampling: after `fit`, MABWiser's arms draw from copies of one generator. Their scores then move
  together (correlations of 0.98 and more): an arm that is best with probability .69 got .95 of the draws. So the
  program gives each arm a generator of its own.
- LinUCB and linear Thompson sampling: an arm without a decision has the inverse of I times `l2_lambda` there by mistake
  (`l2_lambda` instead of 1 / `l2_lambda`). With 1, as here, it is the same.
- Equal scores: under epsilon-greedy Vowpal Wabbit shares between the best arms, and the first gets all here.
- SquareCB: Vowpal Wabbit lets gamma grow with the number of decisions. With the exponent 0 it stays.
- Vowpal Wabbit computes in single precision, with about seven digits.
- Learning: Vowpal Wabbit's models are learned by gradient steps, ours are solved. So both get the same scores.
"""

import json
import math
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bandits.estimates.estimates import Estimates
from bandits.estimates.pooled import PooledState, estimates, fold
from bandits.linear.context import SCALE, Context, Number
from bandits.linear.model import LinearModel, triangle
from bandits.linear.policies.epsilon_greedy import LinearEpsilonGreedy
from bandits.linear.policies.linucb import LinUCB
from bandits.linear.policies.square_cb import SquareCB
from bandits.linear.policies.thompson import LinearThompson
from bandits.linear.scorer import Scorer, Scores
from bandits.linear.solve import Bucket, solve
from bandits.linear.sums import combine, exposure
from bandits.policies.epsilon_greedy import EpsilonGreedy
from bandits.policies.softmax import Softmax
from bandits.policies.thompson_beta import ThompsonBeta
from bandits.policies.ucb1 import UCB1
from bandits.sums import MILLION, ArmSum, Period
from tests.conformance.environments import Unavailable, ensure
from tests.support.components import by_hand, missing

pytestmark = pytest.mark.timeout(1800)
"""The first test builds the environment."""

_PROGRAM = Path(__file__).parent / "oracle_program.py"
_LIMIT_S = 600
ARMS, FEATURES, DRAWS = 4, 5, 20_000
ALPHAS, TEMPERATURES, EPSILONS, V = [0.0, 0.25, 1.0, 3.0], [0.02, 0.1, 1.0], [0.0, 0.1, 0.7], 0.4
SINGLE_PRECISION = 1e-6
CONTEXT = Context(tuple(Number(f"x{place}", 0, 1, fill=0) for place in range(1, FEATURES)))
TOLERANCES = {"steps of 1/8192": 1e-9, "any number": 1e-3}
"""Of scores, relative, by the contexts: our contexts have steps of 1/8192, so other numbers are rounded to them."""


def decisions_without_context() -> dict[str, Any]:
    rng = np.random.default_rng(1)
    arms = rng.choice(ARMS, 400, p=[0.4, 0.3, 0.2, 0.1])
    rewards = (rng.random(400) < np.array([0.30, 0.36, 0.33, 0.40])[arms]).astype(int)
    return {"decisions": arms.tolist(), "rewards": rewards.tolist()}


def decisions_with_context(*, in_steps: bool) -> dict[str, Any]:
    rng = np.random.default_rng(2)
    x = np.hstack([np.ones((150, 1)), rng.random((150, FEATURES - 1))])
    if in_steps:
        x = np.rint(x * SCALE) / SCALE
    arms = rng.integers(0, ARMS, 140)
    truth = rng.random((ARMS, FEATURES)) / FEATURES
    rewards = np.clip((x[:140] * truth[arms]).sum(axis=1) + rng.normal(0, 0.1, 140), 0, 1).round(6)
    return {
        "decisions": arms.tolist(),
        "rewards": rewards.tolist(),
        "contexts": x[:140].tolist(),
        "asked": x[140:].tolist(),
        "linucb": ALPHAS,
        "v": V,
    }


WITHOUT_CONTEXT = decisions_without_context()
WITH_CONTEXT = {name: decisions_with_context(in_steps=name == "steps of 1/8192") for name in TOLERANCES}
SCORES = np.random.default_rng(3).random((50, ARMS)).tolist()
EPSILON, SHARP, GAMMA = 0.1, 5.0, 10.0
VW = {
    f"--epsilon {EPSILON}": lambda scores: LinearEpsilonGreedy(EPSILON).weights(Scores(tuple(scores), ())),
    f"--softmax --lambda {SHARP}": lambda scores: Softmax(1 / SHARP).weights(Estimates((), tuple(scores), ())),
    f"--squarecb --gamma_scale {GAMMA} --gamma_exponent 0": lambda scores: SquareCB(GAMMA).weights(
        Scores(tuple(scores), ())
    ),
}


@pytest.fixture(scope="module", params=[by_hand("bandits")])
def oracles(request) -> dict[str, Any]:
    """Return what both libraries say. It is by hand, since building the environment takes more than a minute."""
    try:
        python = ensure(request.param)
    except Unavailable as error:
        missing(str(error))
    given = {
        "arms": list(range(ARMS)),
        "draws": DRAWS,
        "without context": WITHOUT_CONTEXT | {"ucb1": ALPHAS, "softmax": TEMPERATURES, "epsilon": EPSILONS},
        "with context": WITH_CONTEXT,
        "scores": SCORES,
        "vw": list(VW),
    }
    done = subprocess.run(
        [python, _PROGRAM], input=json.dumps(given), capture_output=True, text=True, check=False, timeout=_LIMIT_S
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture(scope="module")
def known() -> Estimates:
    """Our estimates, from sums."""
    arms = [
        [r for arm, r in zip(WITHOUT_CONTEXT["decisions"], WITHOUT_CONTEXT["rewards"], strict=True) if arm == one]
        for one in range(ARMS)
    ]
    sums = tuple(ArmSum(len(rewards), MILLION * sum(rewards), MILLION * sum(rewards)) for rewards in arms)
    return estimates(fold(PooledState.empty([str(arm) for arm in range(ARMS)]), Period(0, sums)))


def models_of(given: dict[str, Any]) -> list[LinearModel]:
    """Return our models, from sums."""
    parts: list[list[Any]] = [[] for _ in range(ARMS)]
    for arm, reward, x in zip(given["decisions"], given["rewards"], given["contexts"], strict=True):
        parts[arm].append(exposure(CONTEXT.encode(x[1:]), round(reward * MILLION)))
    return [solve([Bucket(combine(each, FEATURES))], FEATURES) for each in parts]


def scores_of(given: dict[str, Any]) -> list[Scores]:
    scorer = Scorer(models_of(given), FEATURES, with_spreads=True)
    return [scorer.scores(CONTEXT.encode(x[1:])) for x in given["asked"]]


def assert_drawn(shares: list[float], weights: tuple[float, ...]) -> None:
    """Check that shares of draws are the weights, within five standard errors and one draw."""
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share - weight) < 5 * math.sqrt(max(weight * (1 - weight), 0) / DRAWS) + 1 / DRAWS, (shares, weights)


def test_ucb1_has_the_indices_and_the_choice_of_mabwiser(oracles, known):
    found = oracles["without context"]
    for alpha, indices, choice in zip(ALPHAS, found["ucb1"], found["ucb1 choices"], strict=True):
        policy = UCB1(width=2 * alpha**2)
        assert policy.indices(known) == pytest.approx(indices, rel=1e-12)
        assert policy.weights(known).index(1.0) == choice
    assert len(set(found["ucb1 choices"])) > 1  # or the choices would show little


def test_softmax_has_the_probabilities_of_mabwiser(oracles, known):
    for temperature, probabilities in zip(TEMPERATURES, oracles["without context"]["softmax"], strict=True):
        assert Softmax(temperature).weights(known) == pytest.approx(probabilities, rel=1e-12)


def test_epsilon_greedy_and_the_beta_rule_draw_as_mabwiser_does(oracles, known):
    found = oracles["without context"]
    for epsilon, shares in zip(EPSILONS, found["epsilon"], strict=True):
        assert_drawn(shares, EpsilonGreedy(epsilon).weights(known))
    assert_drawn(found["thompson-beta"], ThompsonBeta().weights(known))
    assert sorted(found["thompson-beta"])[-2] > 0.05


@pytest.mark.parametrize("contexts", TOLERANCES)
def test_linucb_has_the_scores_and_the_choices_of_mabwiser(oracles, contexts):
    found, known = oracles["with context"][contexts], scores_of(WITH_CONTEXT[contexts])
    for alpha, bounds, choices in zip(ALPHAS, found["linucb"], found["linucb choices"], strict=True):
        for scores, wanted, choice in zip(known, bounds, choices, strict=True):
            ours = [mean + alpha * spread for mean, spread in zip(scores.means, scores.spreads, strict=True)]
            assert ours == pytest.approx(wanted, rel=TOLERANCES[contexts])
            assert LinUCB(alpha).weights(scores).index(1.0) == choice
    assert len({choice for each in found["linucb choices"] for choice in each}) > 1


@pytest.mark.parametrize("contexts", TOLERANCES)
def test_linear_thompson_has_the_posterior_and_draws_of_mabwiser(oracles, contexts):
    found, given = oracles["with context"][contexts], WITH_CONTEXT[contexts]
    for model, mean, covariance in zip(models_of(given), found["means"], found["covariances"], strict=True):
        near = {"rel": TOLERANCES[contexts], "abs": TOLERANCES[contexts]}
        assert np.ldexp(np.array(model.theta, float), -model.theta_bits) == pytest.approx(np.array(mean), **near)
        rows = triangle(model.factor, FEATURES)
        root = np.array([[*row, *[0] * (FEATURES - len(row))] for row in rows]) / 2.0**model.factor_bits
        assert root.T @ root == pytest.approx(np.array(covariance), **near)
    for scores, shares in zip(scores_of(given), found["thompson"], strict=True):
        assert_drawn(shares, LinearThompson(V).weights(scores))
        assert sorted(shares)[-2] > 0.05


@pytest.mark.parametrize("options", VW)
def test_the_same_scores_have_the_probabilities_of_vowpal_wabbit(oracles, options):
    for scores, probabilities in zip(SCORES, oracles["vw"][options], strict=True):
        assert VW[options](scores) == pytest.approx(probabilities, abs=SINGLE_PRECISION)
