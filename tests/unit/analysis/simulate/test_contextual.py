"""What a bandit with a context would have earned: the interval holds what it then earns, and what is refused."""

from collections.abc import Iterator
from statistics import fmean

import numpy as np
import pytest

from analysis.errors import AnalysisRefused
from analysis.simulate.logged import Logged
from analysis.simulate.simulate import Simulated, simulate_rows
from analysis.simulate.usable import Usable
from bandits.linear.policy_weights import PolicyWeights
from bandits.linear.sums import integers_of, rewarded_exposures
from gateway.cli.simulate import learner
from gateway.inference.contexts import encoder_of
from router.document.apply import apply
from router.document.commands import Declare
from router.document.learned import with_learned
from router.draw.assignment import BUCKETS
from router.rewards.sums import MILLION, NO_GROUP, RewardKey, RewardSum
from router.spec.parse import parse_spec
from router.spec.spec import RouteSpec
from tests.support.components import in_soak

BEGAN_S, LENGTH_S, TIME_BUCKETS, DECISIONS = 1_000_000, 10, 24, 240
EVERY = 3
"""So many time buckets lie between two policies."""
ARMS = "abc"
EVEN = (1 / 3, 1 / 3, 1 / 3)


def spec_of(policy: object = "linear-thompson", **more: object) -> RouteSpec:
    """Return a bandit that looks at the device and the age."""
    context = {"headers.x-device": ["phone", "desktop"], "parameters.age": {"from": 0, "to": 100, "missing": 50}}
    bandit = {"policy": policy, "reward": "click", "floor": "2%", "burn_in": 20, "context": context}
    return parse_spec({
        "route": "shop", "arms": {arm: f"ranker-{arm}:1" for arm in ARMS}, "metrics": {"click": {"window": "10s"}},
        "bandit": bandit | more,
    })  # fmt: skip


def people(count: int, rng) -> tuple[np.ndarray, np.ndarray]:
    """Return the contexts of some people, and the probability with which each would click on each arm.

    On phones the first arm is best. Elsewhere it depends on the age, and not in a linear way.
    """
    encoder = encoder_of(spec_of().bandit.context)
    phones, ages = rng.random(count) < 0.4, 10 * rng.integers(0, 11, count)
    vectors = [encoder.encode(["phone" if p else "desktop", a]) for p, a in zip(phones, ages.tolist(), strict=True)]
    first = np.where(phones, 0.6, 0.15)
    second = np.where(phones, 0.1, 0.2 + 0.4 * (ages > 60))
    third = np.where(phones, 0.2, 0.5 - 0.004 * ages)
    return np.array(vectors, np.int64), np.stack([first, second, third], axis=1)


def logged(propensities: tuple[float, ...], seed: int) -> Iterator[Logged]:
    """Yield the decisions of a split with these weights, by time bucket."""
    rng, shares = np.random.default_rng((1, seed)), np.array(propensities)
    for bucket in range(TIME_BUCKETS):
        vectors, rates = people(DECISIONS, rng)
        arms = rng.choice(len(shares), DECISIONS, p=shares)
        clicks = rng.random(DECISIONS) < rates[np.arange(DECISIONS), arms]
        decided_us = 1_000_000 * (BEGAN_S + LENGTH_S * bucket) + np.arange(DECISIONS)
        least, groups = np.full(DECISIONS, shares.min()), np.full(DECISIONS, NO_GROUP)
        yield Logged(decided_us, arms, shares[arms], least, MILLION * clicks, clicks, groups, vectors)


def predicted(spec: RouteSpec, propensities: tuple[float, ...], seed: int) -> Simulated:
    usable = Usable(TIME_BUCKETS * DECISIONS, BEGAN_S, BEGAN_S + LENGTH_S * TIME_BUCKETS)
    features = len(encoder_of(spec.bandit.context).features)
    rows = logged(propensities, seed)
    return simulate_rows(rows, usable, spec, learner(spec), lambda *_: None, runs=2, features=features)


def earned(spec: RouteSpec, seed: int) -> float:
    """Return the mean reward to be expected of a bandit that decides itself, as often as a run takes decisions."""
    learn, document = learner(spec), apply(None, Declare(spec, float(BEGAN_S)))
    rng, count = np.random.default_rng((2, seed)), DECISIONS // len(ARMS)
    known, rewards, contexts, expected = None, {}, {}, []
    for bucket in range(TIME_BUCKETS):
        now_s = BEGAN_S + LENGTH_S * bucket
        policy = learn(document, known, rewards, contexts, float(now_s)) if bucket % EVERY == 0 else None
        if policy is not None:
            known, document = policy, with_learned(document, policy)
        vectors, rates = people(count, rng)
        shares = np.tile([document.weights[arm] for arm in ARMS], (count, 1)) / BUCKETS
        if known is not None and known.content["models"]:
            weights = PolicyWeights(known.content, vectors.shape[1])
            shares = np.array([weights.slots(vector) for vector in vectors.tolist()]) / BUCKETS
        expected += (shares * rates).sum(axis=1).tolist()
        drawn = (rng.random((count, 1)) < shares.cumsum(axis=1)).argmax(axis=1)
        clicks = MILLION * (rng.random(count) < rates[np.arange(count), drawn])
        for index, arm in enumerate(ARMS):
            of_arm = drawn == index
            total = int(clicks[of_arm].sum())
            key = RewardKey(now_s, LENGTH_S, 1, arm, "", "click", NO_GROUP)
            rewards[key] = RewardSum(int(of_arm.sum()), total // MILLION, total, total)
            contexts[key] = integers_of(rewarded_exposures(vectors[of_arm], clicks[of_arm]))
    return fmean(expected)


@in_soak
def test_of_twenty_intervals_at_least_eighteen_hold_what_the_bandit_then_earns(monkeypatch):
    monkeypatch.setattr("analysis.simulate.simulate.MOST_UPDATES", TIME_BUCKETS // EVERY)
    spec = spec_of()
    truth = fmean(earned(spec, seed) for seed in range(12))
    found = [predicted(spec, EVEN, seed) for seed in range(20)]
    assert sum(each.low <= truth <= each.high for each in found) >= 18
    assert fmean(each.high - each.low for each in found) < 0.08
    assert truth > 0.45  # without the context .39 can be earned


def test_a_policy_that_draws_what_the_log_hardly_tried_is_refused():
    first = spec_of(**{"from": {"a": "0%", "b": "0%", "c": "100%"}, "burn_in": 1_000_000})
    with pytest.raises(AnalysisRefused, match="says too little of this policy: its 5,760 decisions weigh like"):
        predicted(first, (0.5, 0.498, 0.002), 0)
