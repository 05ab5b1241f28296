"""The mean of each arm over all time, as if nothing drifted.

Formula: with n decisions and the sum S of their rewards, the mean is S / n. Its variance is that of the rewards, two
imagined ones at the ends of the range included, divided by n + 3. For rewards of 0 and 1 that is the variance of the
posterior Beta(1 + S, 1 + n - S). Without a decision, the mean is the middle of the range.

It assumes that the level of reward does not move while weights do, or that weights stay. For Thompson sampling with
Beta posteriors this is the textbook's estimate.

Weakness: an arm that had most of its decisions in good hours looks good. One of two equal arms ends with 87 % of the
traffic if their common rate rises from 5 to 15 % (docs/performance.md). Use `effects` unless rewards are known to be
steady.

Price: the smallest state, 4 K numbers for K arms; with units 64 times 2 K more. Decisions of a unit hang together, so
with units the variance is that between groups (`bandits.estimates.groups`), if it is larger.
"""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from bandits.errors import BanditError
from bandits.estimates.discount import share_left
from bandits.estimates.estimates import Estimates
from bandits.estimates.groups import clustered, jackknife
from bandits.estimates.noise import PRIOR_VARIANCE
from bandits.estimates.numbers import Numbers, add, as_floats, check_arms, check_next, decisions_and_rewards, pick
from bandits.sums import MILLION, Period


class GroupSum(NamedTuple):
    """Decisions and rewards of a group of units, by arm."""

    decisions: Numbers
    rewards: Numbers


class PooledState(NamedTuple):
    """Sums over periods by arm, each discounted by its age. `counted_squared` is `decisions` with squared discounts."""

    arms: tuple[str, ...]
    newest_s: int | None
    decisions: Numbers
    counted_squared: Numbers
    rewards: Numbers
    squares: Numbers
    groups: tuple[GroupSum, ...]
    """Empty on routes without units."""

    @classmethod
    def empty(cls, arms: Sequence[str], groups: int = 0) -> "PooledState":
        """Return the state before the first period. `groups` is the number of groups of units, 0 without units."""
        none = (0.0,) * len(arms)
        return cls(check_arms(arms), None, none, none, none, none, (GroupSum(none, none),) * groups)

    def with_arms(self, arms: Sequence[str], reset: Sequence[str] = ()) -> "PooledState":
        """Return the state of a route whose arms are now `arms`, of which those in `reset` are new in all but name."""
        kept = [arm if arm in self.arms and arm not in reset else None for arm in check_arms(arms)]
        sources = [None if arm is None else self.arms.index(arm) for arm in kept]
        return PooledState(
            tuple(arms),
            self.newest_s,
            decisions=pick(self.decisions, sources),
            counted_squared=pick(self.counted_squared, sources),
            rewards=pick(self.rewards, sources),
            squares=pick(self.squares, sources),
            groups=tuple(GroupSum(*(pick(each, sources) for each in group)) for group in self.groups),
        )


def fold(state: PooledState, period: Period, half_life_s: float | None = None) -> PooledState:
    """Return the state with one more period, the next in the order of time, and less of the older ones.

    Raise BanditError if the period began before the newest one, or has other arms or groups.
    """
    check_next(period, state.arms, state.newest_s, len(state.groups))
    left = share_left(period.begins_s - state.newest_s, half_life_s) if state.newest_s is not None else 1.0
    decisions, rewards = decisions_and_rewards(period.arms)
    nothing = GroupSum((0.0,) * len(state.arms), (0.0,) * len(state.arms))
    more = [GroupSum(*decisions_and_rewards(sums)) for sums in period.groups]
    return PooledState(
        arms=state.arms,
        newest_s=period.begins_s,
        decisions=add(state.decisions, left, decisions),
        counted_squared=add(state.counted_squared, left * left, decisions),
        rewards=add(state.rewards, left, rewards),
        squares=add(state.squares, left, tuple(arm.squares / MILLION for arm in period.arms)),
        groups=tuple(
            GroupSum(*(add(old, left, new) for old, new in zip(group, added, strict=True)))
            for group, added in zip_longest(state.groups, more, fillvalue=nothing)
        ),
    )


def estimates(state: PooledState) -> Estimates:
    """Return what the state says of its arms. Their errors are independent."""
    posterior = [_mean(count, total) for count, total in zip(state.decisions, state.rewards, strict=True)]
    variances = [
        max((squares + 1.0) / (count + 2.0) - mean * mean, 0.0) / (count + 3.0)
        for count, squares, mean in zip(state.decisions, state.squares, posterior, strict=True)
    ]
    if state.groups:
        variances = _between_groups(state, posterior, variances)
    size = len(posterior)
    raw = zip(state.decisions, state.rewards, strict=True)
    covariance = tuple(tuple(variances[one] if one == other else 0.0 for other in range(size)) for one in range(size))
    return Estimates(state.decisions, tuple(total / count if count else 0.5 for count, total in raw), covariance)


def to_json(state: PooledState) -> dict[str, Any]:
    """Return the state as a dict that JSON keeps exactly."""
    lists = {name: list(value) if isinstance(value, tuple) else value for name, value in state._asdict().items()}
    return lists | {"groups": [[list(numbers) for numbers in group] for group in state.groups]}


def from_json(fields: Mapping[str, Any]) -> PooledState:
    """Return the state that `to_json` gave. Raise BanditError if it is none."""
    try:
        arms = tuple(str(arm) for arm in fields["arms"])
        return PooledState(
            arms,
            None if fields["newest_s"] is None else int(fields["newest_s"]),
            decisions=as_floats(fields["decisions"], len(arms)),
            counted_squared=as_floats(fields["counted_squared"], len(arms)),
            rewards=as_floats(fields["rewards"], len(arms)),
            squares=as_floats(fields["squares"], len(arms)),
            groups=tuple(GroupSum(*(as_floats(each, len(arms)) for each in group)) for group in fields["groups"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BanditError(
            f"This is no state of the estimate `pooled`, so begin with an empty one: {error!r}."
        ) from error


def _mean(decisions: float, rewards: float) -> float:
    return (rewards + 1.0) / (decisions + 2.0)


def _between_groups(state: PooledState, means: list[float], independent: list[float]) -> list[float]:
    """Return the variances of the means, of which those of independent decisions are known."""
    without = [_means_without(state, group) for group in state.groups if any(group.decisions)]
    variances = []
    for arm, measured in enumerate(jackknife(means, without)):
        by_group = [group.decisions[arm] for group in state.groups]
        footing = state.decisions[arm] / state.counted_squared[arm] if state.counted_squared[arm] else 1.0
        variance = clustered(independent[arm], measured, by_group, state.decisions[arm], footing)
        variances.append(min(variance, PRIOR_VARIANCE))
    return variances


def _means_without(state: PooledState, group: GroupSum) -> list[float]:
    arms = zip(state.decisions, group.decisions, state.rewards, group.rewards, strict=True)
    return [_mean(count - less, total - less_total) for count, less, total, less_total in arms]
