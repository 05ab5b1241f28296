"""Arm effects with period effects: what arms differ by within periods, by least squares.

Formula: `bandits.estimates.comparisons`, with a prior. Before any data, effects are N(0, 1/12) about their mean, the
variance of a uniform distribution over the range. With the residual variance v, `effects` solves (L + 12 v) e = b, and
the covariance of their errors is v (L + 12 v)**-1. An arm without data is as uncertain as the prior.

It assumes that what moves the level of reward moves all arms alike, by adding to them. So pooled means, which mistake a
good hour for a good arm, are not needed: two equal arms stay equal, whatever the weights were in that hour.

Weakness: if arms drift apart, the estimate is a mean of past differences. A discount forgets them. If levels multiply
(a night halves all rates), differences are smaller at night, and the estimate is a mean of them, in which the periods
with most decisions weigh most. A period in which one arm has all the decisions says nothing.

Price: none where nothing drifts (docs/performance.md). With units, a state has 64 K (K + 3) / 2 numbers for K arms and
a few more: 19 KB of JSON for four arms. Estimating takes about K**3 operations, with units 64 times as many.

The variance of an arm is the largest of the shared one, its own (`noise`), and that between groups of units (`groups`)
if the route has units. It is never less than that of independent decisions: groups without any reward would
otherwise be certain of it. The discount makes an old decision a part of one, so the variance between groups, in which
discounts are squared, is scaled to the same footing.
"""

from collections.abc import Sequence
from itertools import zip_longest
from math import fsum, sqrt

from bandits.estimates import comparisons, noise
from bandits.estimates.comparisons import Comparisons, explained, laplacian, of_period
from bandits.estimates.discount import share_left
from bandits.estimates.effects_state import EffectsState, Group
from bandits.estimates.estimates import Estimates
from bandits.estimates.groups import clustered, jackknife
from bandits.estimates.noise import PRIOR_VARIANCE
from bandits.estimates.numbers import Numbers, add, check_next, decisions_and_rewards
from bandits.estimates.solve import identity, solve
from bandits.sums import MILLION, ArmSum, Period

_LEVEL_DECISIONS = 1000.0
"""About so many of the newest decisions give the level at which means are reported, or those of the newest period."""


def fold(state: EffectsState, period: Period, half_life_s: float | None = None) -> EffectsState:
    """Return the state with one more period, the next in the order of time, and less of the older ones.

    Raise BanditError if the period began before the newest one, or has other arms or groups.
    """
    check_next(period, state.arms, state.newest_s, len(state.groups))
    left = share_left(period.begins_s - state.newest_s, half_life_s) if state.newest_s is not None else 1.0
    decisions, rewards = decisions_and_rewards(period.arms)
    total = fsum(decisions)
    recent = _LEVEL_DECISIONS / (_LEVEL_DECISIONS + total)
    own = tuple(_squares([arm]) for arm in period.arms)
    more = of_period(decisions, rewards)
    return EffectsState(
        arms=state.arms,
        newest_s=period.begins_s,
        decisions=add(state.decisions, left, decisions),
        comparisons=comparisons.add(state.comparisons, left, more),
        squares=left * state.squares + _squares(period.arms),
        spare=left * state.spare + max(total - 1.0, 0.0),
        own_squares=add(state.own_squares, left, own),
        own_spare=add(state.own_spare, left, tuple(max(count - 1.0, 0.0) for count in decisions)),
        recent_decisions=add(state.recent_decisions, recent, decisions),
        recent_rewards=add(state.recent_rewards, recent, rewards),
        counted=left * state.counted + total,
        counted_squared=left * left * state.counted_squared + total,
        groups=_fold_groups(state.groups, left, period, more),
    )


def estimates(state: EffectsState) -> Estimates:
    """Return what the state says of its arms.

    The means are at the level of the newest periods. The covariance is that of the arms' differences from the mean of
    all decisions, plus the variance of that mean: with one period, that of independent means.
    """
    size = len(state.arms)
    effects, shared, inverse = _solved(state)
    total = fsum(state.decisions)
    shares = [count / total if total else 1.0 / size for count in state.decisions]
    rows = [fsum(share * value for share, value in zip(shares, row, strict=True)) for row in inverse]
    middle = fsum(share * row for share, row in zip(shares, rows, strict=True))
    contrasts = [
        [shared * (inverse[one][other] - rows[one] - rows[other] + middle) for other in range(size)]
        for one in range(size)
    ]
    common = min(shared / total, PRIOR_VARIANCE) if total else PRIOR_VARIANCE
    factors = noise.inflation(shared, state.own_squares, state.own_spare)
    if state.groups:
        between = _between_groups(state, effects, shared, shares, [contrasts[arm][arm] for arm in range(size)])
        factors = [max(pair) for pair in zip(factors, between, strict=True)]
    most = [max(PRIOR_VARIANCE / (contrasts[arm][arm] + common), 1.0) for arm in range(size)]
    scale = [sqrt(min(pair)) for pair in zip(factors, most, strict=True)]
    covariance = tuple(
        tuple(
            scale[one] * scale[other] * (contrasts[min(one, other)][max(one, other)] + common) for other in range(size)
        )
        for one in range(size)
    )
    return Estimates(state.decisions, _at_level(state, effects), covariance)


def _solved(state: EffectsState) -> tuple[list[float], float, list[list[float]]]:
    """Return the effects, the residual variance v, and (L + 12 v) inverted up to a common error."""
    arms_seen = sum(1 for count in state.decisions if count)
    spare = state.spare - max(arms_seen - 1, 0)
    first = _effects(state.comparisons, noise.variance(state.squares, state.spare))
    shared = noise.variance(state.squares - explained(state.comparisons, first), spare)
    solved = solve(_precision(state.comparisons, shared), identity(len(state.arms)))
    excess = state.comparisons.excess
    effects = [fsum(value * each for value, each in zip(row, excess, strict=True)) for row in solved]
    return effects, shared, solved


def _effects(known: Comparisons, variance: float) -> list[float]:
    return [row[0] for row in solve(_precision(known, variance), [[excess] for excess in known.excess])]


def _precision(known: Comparisons, variance: float) -> list[list[float]]:
    """Return L with the prior. A constant makes it well conditioned, and changes no difference between arms."""
    matrix = laplacian(known)
    prior = variance / PRIOR_VARIANCE
    size = len(matrix)
    constant = (fsum(matrix[arm][arm] for arm in range(size)) / size + prior) / size
    return [
        [value + constant + (prior if row == column else 0.0) for column, value in enumerate(values)]
        for row, values in enumerate(matrix)
    ]


def _between_groups(
    state: EffectsState, effects: list[float], shared: float, shares: list[float], independent: list[float]
) -> list[float]:
    """Return by how much the variance between groups exceeds that of independent decisions, by arm."""
    without = [_centred(_effects(group.without, shared), shares) for group in state.groups if any(group.decisions)]
    measured = jackknife(_centred(effects, shares), without)
    footing = state.counted / state.counted_squared if state.counted_squared else 1.0
    factors = []
    for arm, variance in enumerate(measured):
        by_group = [group.decisions[arm] for group in state.groups]
        of_arm = clustered(independent[arm], variance, by_group, state.decisions[arm], footing)
        factors.append(of_arm / independent[arm] if independent[arm] > 0.0 else 1.0)
    return factors


def _centred(effects: list[float], shares: list[float]) -> list[float]:
    middle = fsum(share * effect for share, effect in zip(shares, effects, strict=True))
    return [effect - middle for effect in effects]


def _at_level(state: EffectsState, effects: list[float]) -> Numbers:
    """Return the effects plus the level of the newest periods, moved together into [0, 1] if one is outside."""
    recent = fsum(state.recent_decisions)
    level = 0.5
    if recent:
        counts = zip(state.recent_decisions, state.recent_rewards, effects, strict=True)
        level = fsum(reward - count * effect for count, reward, effect in counts) / recent
    lowest, highest = min(effects), max(effects)
    level = max(min(level, 1.0 - highest), -lowest)
    return tuple(min(max(level + effect, 0.0), 1.0) for effect in effects)


def _fold_groups(groups: tuple[Group, ...], left: float, period: Period, whole: Comparisons) -> tuple[Group, ...]:
    nothing = (0.0,) * len(period.arms)
    decisions, rewards = decisions_and_rewards(period.arms)
    folded = []
    for group, sums in zip_longest(groups, period.groups):
        own, without = nothing, whole
        if sums and any(arm.decisions for arm in sums):
            own, of_group = decisions_and_rewards(sums)
            rest = [count - each for count, each in zip(decisions, own, strict=True)]
            without = of_period(rest, [reward - each for reward, each in zip(rewards, of_group, strict=True)])
        folded.append(Group(add(group.decisions, left, own), comparisons.add(group.without, left, without)))
    return tuple(folded)


def _squares(arms: Sequence[ArmSum]) -> float:
    """Return the squared differences of rewards from their mean, summed."""
    decisions = sum(arm.decisions for arm in arms)
    if not decisions:
        return 0.0
    total = sum(arm.total for arm in arms) / MILLION
    return max(sum(arm.squares for arm in arms) / MILLION - total * total / decisions, 0.0)
