"""Rewards that come late: ten arms, of which one is replaced now and then, and rewards that are known after a batch.

Each step draws an arm by P(best), without a floor. With a probability of 0.001 a step, one of the arms is replaced by
one whose rate is drawn from Beta(4, 4). (The setting of Chapelle and Li, "An empirical evaluation of Thompson
sampling", 2011, section 3.)
"""

import numpy as np

from bandits.estimates import effects
from bandits.estimates.effects_state import EffectsState
from bandits.sums import MILLION, ArmSum, Period
from loadtests.studies.bandits_drift.weighing import Floats, best_of

STEPS = 1_000_000
ARMS = tuple("abcdefghij")
_REPLACED = 0.001


def regret(delay: int, seed: tuple[int, ...]) -> float:
    """Return the rewards that are lost in `STEPS` steps beside the best arm of each, with batches of `delay` steps."""
    rng = np.random.default_rng(seed)
    rates = rng.beta(4, 4, len(ARMS))
    state = EffectsState.empty(ARMS)
    lost = 0.0
    for batch in range(STEPS // delay):
        weights = best_of(effects.estimates(state))
        steps = np.sort(rng.integers(0, delay, rng.binomial(delay, _REPLACED)))
        replaced = rng.integers(0, len(ARMS), len(steps))
        for index, length in enumerate(np.diff([0, *steps, delay])):
            gone = set(replaced[index:].tolist())  # what is replaced later in this batch is not learned from
            more, missed = _segment(rng, int(length), weights, rates, gone)
            lost += missed
            state = effects.fold(state, Period(batch, more))
            if index < len(replaced):
                rates[replaced[index]] = rng.beta(4, 4)
                state = state.with_arms(ARMS, reset=[ARMS[replaced[index]]])
    return lost


def _segment(
    rng: np.random.Generator, steps: int, weights: Floats, rates: Floats, gone: set[int]
) -> tuple[tuple[ArmSum, ...], float]:
    """Return what is learned from steps between two replacements, and the rewards that they lost."""
    decisions = rng.multinomial(steps, weights)
    rewards = rng.binomial(decisions, rates)
    learned = tuple(
        ArmSum(0, 0, 0) if arm in gone else ArmSum(count, MILLION * total, MILLION * total)
        for arm, (count, total) in enumerate(zip(decisions.tolist(), rewards.tolist(), strict=True))
    )
    return learned, float((decisions * (rates.max() - rates)).sum())
