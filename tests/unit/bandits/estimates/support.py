"""Periods for tests of estimates."""

from collections.abc import Sequence

import numpy as np

from bandits.sums import MILLION, ArmSum, Period


def events(decisions: Sequence[int], rewards: Sequence[int]) -> tuple[ArmSum, ...]:
    """Return the sums of rewards of 0 and 1."""
    return tuple(
        ArmSum(int(count), MILLION * int(total), MILLION * int(total))
        for count, total in zip(decisions, rewards, strict=True)
    )


def period(begins_s: int, decisions: Sequence[int], rewards: Sequence[int]) -> Period:
    return Period(begins_s, events(decisions, rewards))


def of_groups(begins_s: int, decisions: np.ndarray, rewards: np.ndarray) -> Period:
    """Return a period in which each decision has a unit. The arrays are of the shape (groups, arms)."""
    return Period(
        begins_s,
        events(decisions.sum(axis=0), rewards.sum(axis=0)),
        tuple(events(*of_group) for of_group in zip(decisions, rewards, strict=True)),
    )
