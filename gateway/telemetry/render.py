"""The text of a scrape, from what the processes of a machine have published."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from gateway.telemetry.lane_sums import sum_lanes
from gateway.telemetry.metric_table import (
    COUNTERS,
    GAUGES,
    LANE_LABELS,
    LANE_LAST,
    LANE_LAST_HELP,
    LANES,
    REQUESTS,
    SHADOW_REQUESTS,
    Measured,
    Merge,
    Timed,
)
from gateway.telemetry.published import Labels, Published, TimedRequests
from gateway.telemetry.tallies import BUCKETS_S

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_BOUNDS = [floatToGoString(bound_s) for bound_s in (*BUCKETS_S, float("inf"))]


def render(published: Mapping[str, Published], live: Collection[str]) -> bytes:
    """Return the text. `live` are the names of the processes that run: the gauges of others are left out."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(list(_families(published, live))))
    return generate_latest(registry)


class _Collected(Collector):
    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Sequence[Metric]:
        return self._families


def _families(published: Mapping[str, Published], live: Collection[str]) -> Iterator[Metric]:
    everything = list(published.values())
    yield from _timed(REQUESTS, [each for one in everything for each in one.requests])
    yield from _timed(SHADOW_REQUESTS, [each for one in everything for each in one.shadow_requests])
    yield from _lanes(everything)
    for name, counted in COUNTERS.items():
        totals: dict[Labels, float] = defaultdict(float)
        for one in everything:
            for labels, value in one.counters.get(name, ()):
                totals[labels] += value
        family = CounterMetricFamily(name, counted.help_text, labels=counted.labels)
        for labels, value in totals.items():
            family.add_metric(labels, value)
        yield family
    running = {name: one for name, one in published.items() if name in live}
    for name, measured in GAUGES.items():
        yield _gauge(name, measured, running)


def _gauge(name: str, measured: Measured, running: Mapping[str, Published]) -> Metric:
    labels = (*measured.labels, "pid") if measured.merge is Merge.EACH else measured.labels
    family = GaugeMetricFamily(name, measured.help_text, labels=labels)
    values: dict[Labels, float] = {}
    for process, one in sorted(running.items(), key=lambda item: item[1].at_s):
        for labels, value in one.gauges.get(name, ()):
            key = (*labels, process) if measured.merge is Merge.EACH else labels
            values[key] = values.get(key, 0.0) + value if measured.merge is Merge.SUM else value
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _timed(metric: Timed, requests: Sequence[TimedRequests]) -> Iterator[Metric]:
    counts: dict[Labels, int] = defaultdict(int)
    buckets: dict[Labels, list[int]] = {}
    sums_s: dict[Labels, float] = defaultdict(float)
    for each in requests:
        counts[each.route, each.target, each.version, str(each.status)] += sum(each.buckets)
        target = (each.route, each.target)
        before = buckets.get(target, [0] * len(each.buckets))
        buckets[target] = [one + other for one, other in zip(before, each.buckets, strict=True)]
        sums_s[target] += each.sum_s
    counter = CounterMetricFamily(
        metric.counter, metric.counter_help, labels=("route", metric.target, "version", "status")
    )
    for labels, count in counts.items():
        counter.add_metric(labels, count)
    histogram = HistogramMetricFamily(metric.histogram, metric.histogram_help, labels=("route", metric.target))
    for labels, by_bucket in buckets.items():
        cumulative = list(zip(_BOUNDS, map(float, accumulate(by_bucket)), strict=True))
        histogram.add_metric(labels, cumulative, sums_s[labels])
    yield counter
    yield histogram


def _lanes(everything: Sequence[Published]) -> Iterator[Metric]:
    sums = sum_lanes(one.lanes for one in everything)
    for name, (field, help_text) in LANES.items():
        family = CounterMetricFamily(name, help_text, labels=LANE_LABELS)
        for key, statistics in sums.items():
            family.add_metric(key, getattr(statistics, field))
        yield family
    last = GaugeMetricFamily(LANE_LAST, LANE_LAST_HELP, labels=LANE_LABELS)
    for key, statistics in sums.items():
        last.add_metric(key, statistics.last_at_s)
    yield last
