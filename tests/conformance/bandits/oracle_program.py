"""Tell what MABWiser and Vowpal Wabbit make of given data. It runs in the environment `bandits`, which has both.

It reads JSON from standard input and writes JSON to standard output. `test_oracles.py` says what the fields are.
"""

import json
import sys
from typing import Any

import numpy as np
from mabwiser.mab import MAB, LearningPolicy
from mabwiser.utils import create_rng
from vowpalwabbit import Workspace

_SEED = 20260101


def without_context(arms: list[int], given: dict[str, Any], draws: int) -> dict[str, Any]:
    """Return indices and choices of UCB1, probabilities of softmax, and how often the others choose each arm."""

    def fitted(policy: Any) -> MAB:
        mab = MAB(arms, policy, seed=_SEED)
        mab.fit(given["decisions"], given["rewards"])
        return mab

    # MABWiser takes as many draws as there are contexts, also for policies that look at none.
    nothing = np.zeros((draws, 1))
    ucb1 = [fitted(LearningPolicy.UCB1(alpha)) for alpha in given["ucb1"]]
    softmax = [fitted(LearningPolicy.Softmax(tau)) for tau in given["softmax"]]
    greedy = [fitted(LearningPolicy.EpsilonGreedy(epsilon)) for epsilon in given["epsilon"]]
    return {
        "ucb1": [[each.predict_expectations()[arm] for arm in arms] for each in ucb1],
        "ucb1 choices": [each.predict() for each in ucb1],
        "softmax": [[each._imp.arm_to_expectation[arm] for arm in arms] for each in softmax],
        "epsilon": [shares(arms, each.predict(nothing)) for each in greedy],
        "thompson-beta": shares(arms, fitted(LearningPolicy.ThompsonSampling()).predict(nothing)),
    }


def with_context(arms: list[int], given: dict[str, Any], draws: int) -> dict[str, Any]:
    """Return scores and choices of LinUCB, and the posterior of linear Thompson sampling with its choices."""
    contexts = np.array(given["asked"])

    def fitted(policy: Any) -> MAB:
        mab = MAB(arms, policy, seed=_SEED)
        mab.fit(given["decisions"], given["rewards"], given["contexts"])
        return mab

    linucb = [fitted(LearningPolicy.LinUCB(alpha, l2_lambda=1)) for alpha in given["linucb"]]
    thompson = fitted(LearningPolicy.LinTS(given["v"], l2_lambda=1))
    models = [thompson._imp.arm_to_model[arm] for arm in arms]
    for arm, model in zip(arms, models, strict=True):
        model.rng = create_rng(_SEED + arm)  # `fit` leaves each arm a copy of the same generator, in the same state
    return {
        "linucb": [[[one[arm] for arm in arms] for one in each.predict_expectations(contexts)] for each in linucb],
        "linucb choices": [each.predict(contexts) for each in linucb],
        "means": [model.beta.tolist() for model in models],
        "covariances": [model.A_inv.tolist() for model in models],
        "thompson": [shares(arms, thompson.predict(np.repeat([one], draws, axis=0))) for one in contexts],
    }


def shares(arms: list[int], chosen: list[int]) -> list[float]:
    """Return how often each arm was chosen, as a share."""
    return [chosen.count(arm) / len(chosen) for arm in arms]


def probabilities(options: str, cases: list[list[float]]) -> list[list[float]]:
    """Return the probabilities of actions under a policy of Vowpal Wabbit, for each list of scores.

    An action has one feature of its own, whose weight is set to the action's cost: minus its score.
    """
    workspace = Workspace(f"--quiet --noconstant --cb_explore_adf {options}")
    found = []
    for scores in cases:
        names = [f"action{place}" for place in range(len(scores))]
        for name, score in zip(names, scores, strict=True):
            workspace.set_weight(workspace.hash_feature(name, workspace.hash_space(" ")), 0, -score)
        found.append(list(workspace.predict([f"| {name}" for name in names])))
    workspace.finish()
    return found


def main() -> None:
    """Answer what is asked on standard input."""
    given = json.load(sys.stdin)
    arms, draws = given["arms"], given["draws"]
    answer = {
        "without context": without_context(arms, given["without context"], draws),
        "with context": {name: with_context(arms, each, draws) for name, each in given["with context"].items()},
        "vw": {options: probabilities(options, given["scores"]) for options in given["vw"]},
    }
    json.dump(answer, sys.stdout, default=float)


if __name__ == "__main__":
    main()
