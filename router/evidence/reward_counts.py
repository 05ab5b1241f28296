"""The rewards of decisions that have matured, in the form in which arms are compared: events among requests.

The event of a decision is how far it fell short of the largest value of its metric, as a share of the range. It counts
in part. Wherever evidence is a product of exp(x a + (1 - x) b) over events x, it also holds for x in [0, 1], because
exp is convex: the mean of such a factor is no more than that for events of the same rate.

Decisions that may lack rewards (`router.rewards.arrival`) are left out. While an arm may be silent, the comparison is
that of an earlier moment, so its evidence stays valid.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from router.evidence.sums import ALL_UNITS, SumKey
from router.evidence.units import GroupCounts, by_group
from router.evidence.weighed_rewards import is_suffix
from router.rewards.arrival import Arrival, arrival
from router.rewards.buckets import LENGTHS_S, has_matured, length_s
from router.rewards.sums import MILLION, NO_GROUP, RewardKey, RewardSum, RewardSums, combine
from router.spec.metric import MetricSpec

DECISIONS = "decisions"
"""Decisions that have matured."""
SHORTFALL = "shortfall"
"""The sum over them of how far they fell short, as a share of the range."""

SQUARES = "squares"
"""The sum of the squares of their values, as shares of the range."""
REWARDED = "rewarded"
"""Those of which something was reported."""

Counts = Mapping[SumKey, float]


class RewardCounts(NamedTuple):
    """What the rewards of a metric come to: over all time, and by time bucket. The same by group of units.

    `silent` has, for each arm whose rewards have stopped, since when (the start of a time bucket). `waiting` has the
    decisions of each arm that have not matured. `complete_until_s` has the arms whose rewards may have stopped:
    decisions before that have all of theirs.
    """

    totals: Counts
    recent: Counts
    group_totals: GroupCounts
    group_recent: GroupCounts
    length_s: int
    silent: Mapping[str, int]
    waiting: Mapping[str, int] = MappingProxyType({})
    complete_until_s: Mapping[str, float] = MappingProxyType({})


NO_REWARDS = RewardCounts({}, {}, {}, {}, LENGTHS_S[0], {})


class ReadSums(NamedTuple):
    """Sums of rewards as a store returns them: over all time (bucket 0), and by time bucket."""

    totals: RewardSums
    recent: RewardSums


def reward_counts(metric: MetricSpec, of_all: ReadSums, of_groups: ReadSums, now_s: float) -> RewardCounts:
    """Return the counts of a metric at `now_s`, in seconds since the epoch."""
    heard = arrival(metric, of_all.recent, now_s)
    totals, recent = _split(of_all, heard, now_s)
    group_totals, group_recent = _split(of_groups, heard, now_s)
    waiting = Counter[str]()
    for key, value in of_all.recent.items():
        if key.metric == metric.name and not has_matured(key.bucket_s, metric, now_s):
            waiting[key.arm] += value.decisions
    groups = by_group(group_totals), by_group(group_recent)
    return RewardCounts(totals, recent, *groups, length_s(metric), heard.silent, waiting, heard.complete_until_s)


def complete_counts(counts: RewardCounts, arms: Iterable[str]) -> RewardCounts:
    """Return the counts as far as the decisions of these arms have all their rewards."""
    until_s = min((counts.complete_until_s[arm] for arm in arms if arm in counts.complete_until_s), default=None)
    if until_s is None:
        return counts
    last_s = until_s - counts.length_s  # a time bucket that begins later ends later
    totals, recent = _before(counts.totals, counts.recent, last_s)
    group_totals, group_recent = _before(counts.group_totals, counts.group_recent, last_s)
    return counts._replace(totals=totals, recent=recent, group_totals=group_totals, group_recent=group_recent)


def _before(
    totals: Mapping[SumKey, Any], recent: Mapping[SumKey, Any], last_s: float
) -> tuple[dict[SumKey, Any], dict[SumKey, Any]]:
    """Return counts over all time and by bucket, without the buckets that begin after `last_s`."""
    less = dict(totals)
    for key, value in recent.items():
        if key.bucket_s > last_s and (whole := key._replace(bucket_s=0)) in less:
            less[whole] = less[whole] - value
    return less, {key: value for key, value in recent.items() if key.bucket_s <= last_s}


def _split(read: ReadSums, heard: Arrival, now_s: float) -> tuple[Counts, Counts]:
    """Return the counts over all time and by bucket, both without what has not matured and without silent buckets."""
    metric = heard.metric
    totals = {key: value for key, value in read.totals.items() if _suffix(key, metric) is not None}
    recent = {}
    for key, value in read.recent.items():
        if _suffix(key, metric) is None:
            continue
        if has_matured(key.bucket_s, metric, now_s) and heard.is_heard(key.bucket_s):
            recent[key] = value
        elif (whole := key._replace(bucket_s=0)) in totals:
            totals[whole] = combine(totals[whole], RewardSum(*(-each for each in value)))
    return _counts(metric, totals), _counts(metric, recent)


def _suffix(key: RewardKey, metric: MetricSpec) -> str | None:
    """Return what the name of a sum has behind that of the metric, or None if it is of another metric.

    With a suffix, decisions are weighed (`router.evidence.weighed_rewards`), and in millionths.
    """
    name, suffix = key.metric[: len(metric.name)], key.metric[len(metric.name) :]
    return suffix if name == metric.name and (not suffix or is_suffix(suffix)) else None


def _counts(metric: MetricSpec, sums: RewardSums) -> Counts:
    counts: dict[SumKey, float] = {}
    for key, value in sums.items():
        if suffix := _suffix(key, metric):
            counts[_sum_key(key, DECISIONS + suffix)] = value.decisions
            counts[_sum_key(key, SHORTFALL + suffix)] = value.decisions - value.total
            counts[_sum_key(key, SQUARES + suffix)] = value.squares
            continue
        counts[_sum_key(key, DECISIONS)] = value.decisions
        counts[_sum_key(key, SHORTFALL)] = value.decisions - value.total / MILLION
        counts[_sum_key(key, SQUARES)] = value.squares / MILLION
        counts[_sum_key(key, REWARDED)] = value.rewarded
    return counts


def _sum_key(key: RewardKey, name: str) -> SumKey:
    group = ALL_UNITS if key.group == NO_GROUP else key.group
    return SumKey(key.bucket_s, key.policy_version, key.arm, key.model_version, "", name, "", group)
