"""Levels of reward that drift: 360 buckets of 200 decisions, with new weights after each."""

from typing import NamedTuple

import numpy as np

from loadtests.studies.bandits_drift.rules import Learner
from loadtests.studies.bandits_drift.weighing import Floats, weights_of

BUCKETS = 360
DECISIONS = 200
_FOUR = np.array([0.10, 0.12, 0.14, 0.18])
_AT = np.arange(BUCKETS)
_SWING = 1 + 0.5 * np.sin(2 * np.pi * _AT / 60)
_RISE = 0.05 + 0.1 * _AT / BUCKETS


class Scene(NamedTuple):
    """The rate of each arm in each bucket, the weights at the start, and the bucket after which they move."""

    rates: Floats
    start: tuple[float, ...]
    moves_after: int


TWO_EQUAL = {
    "swings by half": Scene(np.tile(0.1 * _SWING[:, None], 2), (0.9, 0.1), 30),
    "rises from 5 to 15 %": Scene(np.tile(_RISE[:, None], 2), (0.9, 0.1), 120),
}
FOUR_ARMS = {
    "still": Scene(np.tile(_FOUR, (BUCKETS, 1)), (0.25,) * 4, 2),
    "swings by half": Scene(_FOUR * _SWING[:, None], (0.25,) * 4, 2),
}
UNIFORM_REGRET = BUCKETS * DECISIONS * float(_FOUR.max() - _FOUR.mean())


class Outcome(NamedTuple):
    """The last arm's weight at the end, and the rewards that were lost beside the best arm."""

    weight: float
    regret: float


def play(scene: Scene, rule: str, seed: tuple[int, ...]) -> Outcome:
    """Return what comes of a scene under a rule."""
    rng = np.random.default_rng(seed)
    learner = Learner(rule, len(scene.start))
    weights, regret = np.array(scene.start), 0.0
    for bucket, rates in enumerate(scene.rates, 1):
        decisions = rng.multinomial(DECISIONS, weights)
        learner.learn(decisions, rng.binomial(decisions, rates))
        regret += float((decisions * (rates.max() - rates)).sum())
        if bucket >= scene.moves_after:
            weights = weights_of(learner.estimates())
    return Outcome(float(weights[-1]), regret)
