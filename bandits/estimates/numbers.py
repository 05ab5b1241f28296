"""Numbers by arm."""

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any

from bandits.errors import BanditError
from bandits.sums import MILLION, ArmSum, Period

Numbers = tuple[float, ...]


def add(known: Numbers, left: float, more: Numbers) -> Numbers:
    """Return the share `left` of what is known, and `more`."""
    return tuple(left * old + new for old, new in zip(known, more, strict=True))


def pick(numbers: Numbers, sources: Sequence[int | None]) -> Numbers:
    """Return the numbers of other arms, each of which is one of the known arms or, if None, new: 0."""
    return tuple(0.0 if source is None else numbers[source] for source in sources)


def decisions_and_rewards(sums: Sequence[ArmSum]) -> tuple[Numbers, Numbers]:
    """Return the decisions and the sum of rewards, as shares of the range, by arm."""
    return tuple(float(arm.decisions) for arm in sums), tuple(arm.total / MILLION for arm in sums)


def as_floats(values: Iterable[Any], size: int) -> Numbers:
    """Return values as `size` floats. Raise ValueError if there are more or fewer, or one is not finite."""
    numbers = tuple(float(value) for value in values)
    if len(numbers) != size or not all(isfinite(number) for number in numbers):
        raise ValueError(f"{size} finite numbers are needed, but these are {numbers}")
    return numbers


def check_arms(arms: Sequence[str]) -> tuple[str, ...]:
    """Return the names of arms. Raise BanditError if there are none, or two are the same."""
    if not arms or len(set(arms)) < len(arms):
        raise BanditError(f"A bandit needs arms, each with a name of its own, but got {list(arms)}.")
    return tuple(arms)


def check_next(period: Period, arms: Sequence[str], newest_s: int | None, groups: int) -> None:
    """Raise BanditError if a period cannot be folded into a state of these arms and number of groups."""
    if newest_s is not None and period.begins_s < newest_s:
        raise BanditError(
            f"The period that begins at {period.begins_s} s is older than the newest one, {newest_s} s: "
            "fold periods in the order of time, each once."
        )
    if len(period.arms) != len(arms) or any(len(group) != len(arms) for group in period.groups):
        raise BanditError(f"A period needs one sum for each of the {len(arms)} arms, also for those without decisions.")
    if len(period.groups) not in (0, groups):
        raise BanditError(f"The state has {groups} groups of units, but the period {len(period.groups)}.")
    if any(
        sum(group[arm].decisions for group in period.groups) > whole.decisions for arm, whole in enumerate(period.arms)
    ):
        raise BanditError(
            "Groups of units have more decisions than their arm: `arms` needs the sums over all decisions."
        )
