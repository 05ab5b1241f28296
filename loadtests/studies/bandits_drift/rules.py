"""The estimates that are compared, and the periods that they are given."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bandits.estimates import effects, pooled
from bandits.estimates.effects_state import EffectsState
from bandits.estimates.estimates import Estimates
from bandits.estimates.pooled import PooledState
from bandits.sums import MILLION, ArmSum, Period

BUCKET_S = 10
GROUPS = 64
Counts = npt.NDArray[np.int64]


class Learner:
    """One estimate under way: what is known of the arms after each period."""

    def __init__(self, rule: str, arms: int, groups: int = 0) -> None:
        empty, self._fold, self._estimates, self._half_life_s = RULES[rule]
        self._state = empty([str(arm) for arm in range(arms)], groups)
        self._periods = 0

    def learn(self, decisions: Counts, rewards: Counts) -> None:
        """Fold the next period: decisions and rewards of 0 or 1, by arm, or by group and arm."""
        of_arms = decisions, rewards
        groups: tuple[tuple[ArmSum, ...], ...] = ()
        if decisions.ndim == 2:
            of_arms = decisions.sum(axis=0), rewards.sum(axis=0)
            groups = tuple(_sums(*of_group) for of_group in zip(decisions.tolist(), rewards.tolist(), strict=True))
        period = Period(BUCKET_S * self._periods, _sums(*(each.tolist() for each in of_arms)), groups)
        self._state = self._fold(self._state, period, self._half_life_s)
        self._periods += 1

    def estimates(self) -> Estimates:
        """Return what is known."""
        return self._estimates(self._state)


class Rule(NamedTuple):
    """An estimate, and the half-life of its discount."""

    empty: Callable[..., EffectsState | PooledState]
    fold: Callable[..., EffectsState | PooledState]
    estimates: Callable[..., Estimates]
    half_life_s: float | None = None


RULES = {
    "pooled": Rule(PooledState.empty, pooled.fold, pooled.estimates),
    "effects": Rule(EffectsState.empty, effects.fold, effects.estimates),
    "effects, half-life 20 minutes": Rule(EffectsState.empty, effects.fold, effects.estimates, 1200.0),
}


def _sums(decisions: Iterable[int], rewards: Iterable[int]) -> tuple[ArmSum, ...]:
    pairs = zip(decisions, rewards, strict=True)
    return tuple(ArmSum(count, MILLION * total, MILLION * total) for count, total in pairs)
