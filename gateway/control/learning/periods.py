"""The sums of rewards of a metric as periods: what was decided in a time bucket under a version of the document."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from bandits.sums import ArmSum, Period
from router.evidence.sums import GROUPS
from router.rewards.buckets import has_matured
from router.rewards.sums import NO_GROUP, RewardKey, RewardSums
from router.spec.metric import MetricSpec

_NOTHING = ArmSum(0, 0, 0)
_Cell = dict[tuple[int, int], dict[int, dict[str, ArmSum]]]
"""Sums by bucket and version, then by group, then by arm."""


def matured_periods(
    metric: MetricSpec, sums: RewardSums, since: Mapping[str, int], *, after_s: int | None, now_s: float, by_unit: bool
) -> list[Period]:
    """Return the periods whose decisions have matured, oldest first, of the buckets that begin after `after_s`.

    `since` has, for each arm, the version of the document from which on its decisions count. Its order is that of the
    arms. With `by_unit`, each period has the sums of the groups of units, too.
    """
    cells: _Cell = defaultdict(lambda: defaultdict(dict))
    for key, value in sums.items():
        if not is_learned_from(key, metric, since, after_s=after_s, now_s=now_s):
            continue
        group = cells[key.bucket_s, key.policy_version][key.group]
        known = group.get(key.arm, _NOTHING)
        group[key.arm] = ArmSum(
            known.decisions + value.decisions, known.total + value.total, known.squares + value.squares
        )
    return [_period(bucket_s, cell, tuple(since), by_unit=by_unit) for (bucket_s, _), cell in sorted(cells.items())]


def is_learned_from(
    key: RewardKey, metric: MetricSpec, since: Mapping[str, int], *, after_s: int | None, now_s: float
) -> bool:
    """Return True if the decisions of a sum have matured, count, and are of a bucket that begins after `after_s`."""
    is_new = after_s is None or key.bucket_s > after_s
    if key.metric != metric.name or not is_new or not has_matured(key.bucket_s, metric, now_s):
        return False
    return key.policy_version >= since.get(key.arm, key.policy_version + 1)


def _period(begins_s: int, cell: Mapping[int, Mapping[str, ArmSum]], arms: Sequence[str], *, by_unit: bool) -> Period:
    def sums_of(group: int) -> tuple[ArmSum, ...]:
        found = cell.get(group, {})
        return tuple(found.get(arm, _NOTHING) for arm in arms)

    groups = tuple(sums_of(group) for group in range(GROUPS)) if by_unit else ()
    return Period(begins_s, sums_of(NO_GROUP), groups)
