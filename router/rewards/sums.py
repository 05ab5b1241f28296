"""The sums of rewards: integers, to which any machine may add in any order.

A value counts in millionths of its metric's range: the least value is 0, the largest 1,000,000. So no sum can overflow
before nine million million decisions, and bounded values need no second look.

A decision counts from when it is made, with the default of each metric. A reward adds the difference that it makes. So
the mean over the decisions of a time bucket is `total / decisions` at any time, and is final once they have matured.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from router.rewards.events import Report, aggregate
from router.spec.formula import LATENCY_MS, formula
from router.spec.metric import MetricSpec

MILLION = 1_000_000
NO_GROUP = -1
"""The group of a sum over all decisions, also those without a unit."""

Outcomes = Mapping[str, Mapping[str, Report]]
"""The events that were reported of a decision, by metric."""


class RewardKey(NamedTuple):
    """What a sum is of.

    `bucket_s` is the start of the time bucket in which the decisions were made, in seconds since the epoch, or 0 for
    all time. It is a multiple of `length_s` (`router.rewards.buckets`). `group` is the group of units, or `NO_GROUP`.
    """

    bucket_s: int
    length_s: int
    policy_version: int
    arm: str
    model_version: str
    metric: str
    group: int = NO_GROUP


class RewardSum(NamedTuple):
    """Sums over decisions: how many there are, of how many something was reported, their values and the squares.

    `total` is in millionths of the metric's range, and so is `squares`, of the squares of the shares of the range.
    """

    decisions: int
    rewarded: int
    total: int
    squares: int


RewardSums = Mapping[RewardKey, RewardSum]

ContextSums = Mapping[RewardKey, tuple[int, ...]]
"""Sums from which a contextual bandit learns: lists of integers that add up one by one (`bandits.linear.sums`)."""


def exposure(metric: MetricSpec, metrics: Iterable[MetricSpec], latency_us: int) -> RewardSum:
    """Return what a decision adds when it is made. `latency_us` is how long its prediction took."""
    return standing(metric, metrics, {}, latency_us)


def standing(metric: MetricSpec, metrics: Iterable[MetricSpec], outcomes: Outcomes, latency_us: int) -> RewardSum:
    """Return what a decision has added in all once it has these outcomes."""
    return _sum(1, _is_rewarded(metric, outcomes), _value(metric, outcomes, latency_us, metrics))


def difference(
    metrics: tuple[MetricSpec, ...], before: Outcomes, after: Outcomes, latency_us: int
) -> dict[str, RewardSum]:
    """Return what a change of the outcomes of a decision adds, by metric. Metrics that stay the same are left out."""
    added = {}
    for metric in metrics:
        names = metric.parts or (metric.name,)
        if metric.is_label or all(before.get(name) is after.get(name) for name in names):
            continue
        old, new = (standing(metric, metrics, outcomes, latency_us) for outcomes in (before, after))
        if old != new:
            added[metric.name] = subtract(new, old)
    return added


def times(count: int, value: RewardSum) -> RewardSum:
    """Return the sum of a number of equal ones."""
    return RewardSum(*(count * each for each in value))


def subtract(first: RewardSum, second: RewardSum) -> RewardSum:
    """Return the first sum without the second."""
    return RewardSum(*(more - less for more, less in zip(first, second, strict=True)))


def combine(first: RewardSum, second: RewardSum) -> RewardSum:
    """Return the sum of two."""
    return RewardSum(
        first.decisions + second.decisions,
        first.rewarded + second.rewarded,
        first.total + second.total,
        first.squares + second.squares,
    )


def with_totals(sums: RewardSums) -> dict[RewardKey, RewardSum]:
    """Return sums together with those over all time (bucket 0) to which they add up. Leave out those of nothing."""
    added: dict[RewardKey, RewardSum] = {}
    for key, value in sums.items():
        whole = RewardKey(0, *key[1:])
        add_to(added, whole, value)
        if key.bucket_s:
            added[key] = value
    return {key: value for key, value in added.items() if any(value)}


def add_to(sums: dict[RewardKey, RewardSum], key: RewardKey, more: RewardSum) -> None:
    """Add to one of the sums in place."""
    sums[key] = combine(sums[key], more) if key in sums else more


def add_integers(sums: dict[RewardKey, tuple[int, ...]], key: RewardKey, more: tuple[int, ...]) -> None:
    """Add to one of the lists of integers in place. If the two are of different lengths, the new one is dropped."""
    known = sums.get(key)
    if known is None:
        sums[key] = more
    elif len(known) == len(more):
        sums[key] = tuple(map(int.__add__, known, more))


def merge_contexts(
    first: Mapping[str, ContextSums], second: Mapping[str, ContextSums]
) -> dict[str, dict[RewardKey, tuple[int, ...]]]:
    """Return two additions of lists of integers by route, added up."""
    merged = {route: dict(sums) for route, sums in first.items()}
    for route, sums in second.items():
        of_route = merged.setdefault(route, {})
        for key, more in sums.items():
            add_integers(of_route, key, more)
    return merged


def merge_sums(
    first: Mapping[str, RewardSums], second: Mapping[str, RewardSums]
) -> dict[str, dict[RewardKey, RewardSum]]:
    """Return two additions by route, added up."""
    merged = {route: dict(sums) for route, sums in first.items()}
    for route, sums in second.items():
        of_route = merged.setdefault(route, {})
        for key, more in sums.items():
            add_to(of_route, key, more)
    return merged


def millionths(value: float, metric: MetricSpec) -> int:
    """Return a value in millionths of the metric's range. One beyond the range is brought into it."""
    share = (value - metric.low) / (metric.high - metric.low)
    return round(MILLION * min(max(share, 0.0), 1.0))


def in_units(share: float, metric: MetricSpec) -> float:
    """Return the value that is a share of the metric's range."""
    return metric.low + share * (metric.high - metric.low)


def _value(metric: MetricSpec, outcomes: Outcomes, latency_us: int, metrics: Iterable[MetricSpec]) -> int:
    """Return the value of a decision, in millionths of the range."""
    if not metric.formula:
        return millionths(_reported(metric, outcomes), metric)
    values = {each.name: _reported(each, outcomes) for each in metrics if each.name in metric.parts}
    return millionths(formula(metric.formula)(values | {LATENCY_MS: latency_us / 1000}), metric)


def _reported(metric: MetricSpec, outcomes: Outcomes) -> float:
    value = aggregate(outcomes.get(metric.name, {}), metric.aggregate)
    return metric.default if value is None else min(max(value, metric.low), metric.high)


def _is_rewarded(metric: MetricSpec, outcomes: Outcomes) -> bool:
    """Return True if something that still holds was reported of the metric, or of a part of it."""
    names = metric.parts if metric.formula else (metric.name,)
    return any(aggregate(outcomes.get(name, {}), metric.aggregate) is not None for name in names)


def _sum(decisions: int, rewarded: int, value: int) -> RewardSum:
    return RewardSum(decisions, int(rewarded), value, value * value // MILLION)
