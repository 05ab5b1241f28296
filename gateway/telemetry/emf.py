"""Metrics as lines of Amazon CloudWatch's Embedded Metric Format: what came since the last lines.

CloudWatch makes metrics of such lines in its logs. Each pair of an arm and a metric is paid for, so the number of arms
is bounded: the first `MOST_ARMS` that get traffic have metrics of their own, and all others are one arm `other` of a
route `other`. The specification is AWS's "Specification: Embedded metric format".
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from gateway.telemetry.metric_table import ABORTS, LOG_RECORDS, REWARDS_SILENT, SET_ASIDE, SHED, STALE, UNCOUNTED
from gateway.telemetry.published import Published
from gateway.telemetry.tallies import BUCKETS_S

NAMESPACE = "Pointsman"
MOST_ARMS = 100
_LONGEST_VALUE = 1024  # characters of a dimension's value
_OTHER = ("other", "other")
_ERRORS_FROM = 500
_Arm = tuple[str, str]


class Totals(NamedTuple):
    """What all processes of a machine have counted since they began."""

    buckets: Mapping[_Arm, list[int]]
    errors: Mapping[_Arm, int]
    counters: Mapping[tuple[str, tuple[str, ...]], float]


class EmbeddedMetrics:
    """The lines of one machine. It remembers what was counted when it made the last ones."""

    def __init__(self) -> None:
        self._before: Totals | None = None
        self._arms: set[_Arm] = set()

    def lines(self, published: Mapping[str, Published], live: Collection[str], lag_s: float, now_s: float) -> list[str]:
        """Return a line of the machine, and one for each arm that had requests or was aborted.

        `live` are the names of the processes that run: the gauges of others are left out. `lag_s` is how old the oldest
        row is that is not in the log yet. The first call has no earlier one to compare with: it counts nothing.
        """
        totals = _totals(published.values())
        before, self._before = self._before, totals
        gauges = _gauges(one for name, one in published.items() if name in live)
        lines = [_line(now_s, {}, _of_machine(totals, before, gauges, lag_s))]
        if before is not None:
            arms = sorted(self._of_arms(totals, before).items())
            lines += [_line(now_s, {"Route": route, "Arm": arm}, values) for (route, arm), values in arms]
        return lines

    def _of_arms(self, totals: Totals, before: Totals) -> dict[_Arm, dict[str, tuple[float, str]]]:
        buckets: dict[_Arm, list[int]] = {}
        errors: dict[_Arm, int] = defaultdict(int)
        aborts: dict[_Arm, float] = defaultdict(float)
        for arm, counts in totals.buckets.items():
            new = _minus(counts, before.buckets.get(arm, [0] * len(counts)))
            if sum(new):
                key = self._own(arm)
                buckets[key] = _plus(buckets.get(key, [0] * len(new)), new)
                errors[key] += totals.errors.get(arm, 0) - before.errors.get(arm, 0)
        for (name, labels), value in totals.counters.items():
            new_aborts = value - before.counters.get((name, labels), 0.0)
            if name == ABORTS and new_aborts > 0:
                aborts[self._own((labels[0], labels[1]))] += new_aborts
        return {
            arm: {
                "Requests": (sum(buckets.get(arm, ())), "Count"),
                "Errors": (errors[arm], "Count"),
                "Aborts": (aborts[arm], "Count"),
                **(_latencies(buckets[arm]) if arm in buckets else {}),
            }
            for arm in {*buckets, *aborts}
        }

    def _own(self, arm: _Arm) -> _Arm:
        if arm in self._arms or len(self._arms) < MOST_ARMS:
            self._arms.add(arm)
            return arm
        return _OTHER


def quantile_ms(buckets: list[int], share: float) -> float:
    """Return the time below which a share of the requests took, in milliseconds.

    Within a bucket it is interpolated. In the last one, which has no upper bound, it is the lower one.
    """
    rank, seen, low_s = share * sum(buckets), 0, 0.0
    for count, high_s in zip(buckets, BUCKETS_S, strict=False):
        if count and seen + count >= rank:
            return 1000 * (low_s + (high_s - low_s) * (rank - seen) / count)
        seen, low_s = seen + count, high_s
    return 1000 * low_s


def _latencies(buckets: list[int]) -> dict[str, tuple[float, str]]:
    return {
        "LatencyP50": (quantile_ms(buckets, 0.5), "Milliseconds"),
        "LatencyP99": (quantile_ms(buckets, 0.99), "Milliseconds"),
    }


def _of_machine(
    totals: Totals, before: Totals | None, gauges: Mapping[str, list[float]], lag_s: float
) -> dict[str, tuple[float, str]]:
    """Return the metrics of the machine, with their units."""
    values = {
        "LogLag": (lag_s, "Seconds"),
        "StoreStale": (max(gauges.get(STALE, [0.0])), "Seconds"),
        "UncountedBytes": (sum(gauges.get(UNCOUNTED, [])), "Bytes"),
        "RewardsSilent": (len(gauges.get(REWARDS_SILENT, [])), "Count"),
    }
    if before is None:
        return values

    def new(name: str, *labels: str) -> float:
        return max(0.0, totals.counters.get((name, labels), 0.0) - before.counters.get((name, labels), 0.0))

    return values | {
        "RowsPersisted": (new(LOG_RECORDS, "persisted"), "Count"),
        "RowsDropped": (new(LOG_RECORDS, "dropped"), "Count"),
        "ShipFailures": (new(LOG_RECORDS, "failed"), "Count"),
        "SegmentsSetAside": (new(SET_ASIDE), "Count"),
        "Shed": (new(SHED), "Count"),
    }


def _totals(published: Iterable[Published]) -> Totals:
    buckets: dict[_Arm, list[int]] = {}
    errors: dict[_Arm, int] = defaultdict(int)
    counters: dict[tuple[str, tuple[str, ...]], float] = defaultdict(float)
    for one in published:
        for each in one.requests:
            arm = each.route, each.target
            buckets[arm] = _plus(buckets.get(arm, [0] * len(each.buckets)), each.buckets)
            errors[arm] += sum(each.buckets) if each.status >= _ERRORS_FROM else 0
        for name, values in one.counters.items():
            for labels, value in values:
                counters[name, tuple(labels)] += value
    return Totals(buckets, errors, counters)


def _gauges(published: Iterable[Published]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for one in published:
        for name, values in one.gauges.items():
            found[name] += [value for _, value in values]
    return found


def _line(now_s: float, dimensions: Mapping[str, str], values: Mapping[str, tuple[float, str]]) -> str:
    named = {"Service": "pointsman", **{name: value[:_LONGEST_VALUE] for name, value in dimensions.items()}}
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [list(named)],
        "Metrics": [{"Name": name, "Unit": unit} for name, (_, unit) in values.items()],
    }
    root = {"Timestamp": int(now_s * 1000), "CloudWatchMetrics": [directive]}
    return json.dumps({"_aws": root, **named, **{name: value for name, (value, _) in values.items()}})


def _plus(one: list[int], other: list[int]) -> list[int]:
    return [each + more for each, more in zip(one, other, strict=True)]


def _minus(one: list[int], other: list[int]) -> list[int]:
    return [max(0, each - less) for each, less in zip(one, other, strict=True)]
