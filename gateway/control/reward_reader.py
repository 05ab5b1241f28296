"""Reads the sums of rewards of a route, and keeps those that do not change any more.

Of decisions that have matured nothing changes. So after the first time only the time buckets are read of which rewards
may have come since the last time. After an outage older ones are counted, too. Then the sums over all time grow by more
than those of the buckets that were read, and all are read again.
"""

from collections.abc import Mapping
from typing import NamedTuple

from router.document.document import Document
from router.evidence.reward_counts import ReadSums, RewardCounts, reward_counts
from router.rewards.buckets import BUCKETS_KEPT, length_s, settling_s
from router.spec.spec import RouteSpec
from store.interface import Store

REWARDS_EVERY_S = 5.0
"""How often the sums of rewards are read."""
REWARDS_BY_GROUP_EVERY_S = 60.0
"""How often those by group are read: 64 times as many, of decisions that have matured and so change little."""
REWARDS_FRESH_S = 180.0
"""For how much longer than a decision may get rewards its time bucket is read again: machines may be slow to count."""

_NO_SUMS = ReadSums({}, {})


class _Read(NamedTuple):
    """Sums as they were read at `at_s`, of the trial that began at a version."""

    at_s: float
    trial_version: int
    sums: ReadSums


class _Known(NamedTuple):
    """What is known of a route: the sums over all units, those by group if they are needed, and what they come to."""

    of_all: _Read
    of_groups: _Read
    counts: Mapping[str, RewardCounts]


class RewardReader:
    """Used by one thread at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, _Known] = {}

    def counts(self, document: Document, now_s: float) -> Mapping[str, RewardCounts]:
        """Return the counts of the metrics by name, read again if they are old or of another trial.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        spec, trial = document.spec, document.trial_version
        metrics = [metric for metric in spec.metrics if not metric.is_label]
        if not metrics:
            return {}
        known = self._known.get(spec.route)
        if known is not None and known.of_all.trial_version != trial:
            known = None
        if known is not None and abs(now_s - known.of_all.at_s) < REWARDS_EVERY_S:
            return known.counts
        of_all = self._read(spec, trial, None if known is None else known.of_all, now_s)
        if known is not None and _older(of_all.sums) != _older(_kept(known.of_all.sums, now_s)):
            in_part, of_all = of_all, self._read(spec, trial, None, now_s)
            if _has_older_changes(in_part, of_all, now_s - _changes_for_s(spec)):
                known = None
        of_groups = _Read(now_s, trial, _NO_SUMS)
        if spec.unit is not None and any(each.metric for each in spec.guardrails):
            of_groups = self._by_group(spec, trial, known, now_s)
        counts = {metric.name: reward_counts(metric, of_all.sums, of_groups.sums, now_s) for metric in metrics}
        self._known[spec.route] = _Known(of_all, of_groups, counts)
        return counts

    def forget(self, route: str) -> None:
        """Read the sums of a route from the beginning next time: the store has lost some."""
        self._known.pop(route, None)

    def forget_all(self) -> None:
        """Do the same for all routes."""
        self._known.clear()

    def _by_group(self, spec: RouteSpec, trial: int, known: _Known | None, now_s: float) -> _Read:
        if known is None or known.of_groups.sums is _NO_SUMS:
            return self._read(spec, trial, None, now_s, by_group=True)
        if abs(now_s - known.of_groups.at_s) < REWARDS_BY_GROUP_EVERY_S:
            return known.of_groups
        return self._read(spec, trial, known.of_groups, now_s, by_group=True)

    def _read(self, spec: RouteSpec, trial: int, known: _Read | None, now_s: float, *, by_group: bool = False) -> _Read:
        """Return the sums, of which only those are read that may have changed since they were known."""
        since_s, recent = 0, _NO_SUMS.recent
        if known is not None:
            since_s = max(0, int(min(known.at_s, now_s) - _changes_for_s(spec)))
            recent = known.sums.recent
        read = self._store.reward_sums(spec.route, trial, since_s, by_group=by_group)
        return _Read(now_s, trial, _kept(ReadSums(read.totals, {**recent, **read.recent}), now_s))


def _kept(sums: ReadSums, now_s: float) -> ReadSums:
    """Return sums without the time buckets that a store does not keep any more."""
    recent = {key: value for key, value in sums.recent.items() if key.bucket_s >= now_s - BUCKETS_KEPT * key.length_s}
    return ReadSums(sums.totals, recent)


def _older(sums: ReadSums) -> tuple[int, int]:
    """Return how many decisions and rewarded ones are in the sums over all time and in no time bucket."""
    totals, recent = sums.totals.values(), sums.recent.values()
    return (
        sum(each.decisions for each in totals) - sum(each.decisions for each in recent),
        sum(each.rewarded for each in totals) - sum(each.rewarded for each in recent),
    )


def _has_older_changes(in_part: _Read, whole: _Read, before_s: float) -> bool:
    """Return True if sums of time buckets that had to be final are others. If not, sums were added during a read."""
    known = in_part.sums.recent
    return any(value != known.get(key) for key, value in whole.sums.recent.items() if key.bucket_s < before_s)


def _changes_for_s(spec: RouteSpec) -> float:
    """Return how long after the start of a time bucket its sums may change."""
    return max(length_s(each) + each.window_s + settling_s(each.window_s) for each in spec.metrics) + REWARDS_FRESH_S
