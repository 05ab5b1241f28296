"""The names and labels of what a gateway exposes at /metrics, from the text that it renders."""

from collections import defaultdict
from functools import cache

from prometheus_client.parser import text_string_to_metric_families

from gateway.telemetry.metric_table import COUNTERS, GAUGES
from gateway.telemetry.published import LaneSums, Published, TimedRequests
from gateway.telemetry.render import render
from gateway.telemetry.statistics import VersionStatistics
from gateway.telemetry.tallies import BUCKETS_S

OF_THE_TARGET = frozenset({"namespace", "pod", "container", "endpoint", "instance", "job"})
"""The labels that the Prometheus Operator gives each series of a pod. Prometheus renames ours of the same name."""
OF_PROMETHEUS = {"up": frozenset[str](), "ALERTS": frozenset({"alertname", "alertstate", "severity"})}
"""Series that Prometheus makes itself."""


def rendered() -> str:
    """Return the text of a gateway that has something to say about each metric."""
    timed = [TimedRequests("r", "a", "1", 200, [1] * (len(BUCKETS_S) + 1), 1.0)]
    counters = {name: [(counted.labels, 1.0)] for name, counted in COUNTERS.items()}
    gauges = {name: [(measured.labels, 1.0)] for name, measured in GAUGES.items()}
    lanes = [LaneSums("m", "1", "d", VersionStatistics())]
    return render({"0": Published(timed, timed, lanes, counters, gauges)}, {"0"}).decode()


@cache
def exposed() -> dict[str, frozenset[str]]:
    """Return the labels of each series, by its name: of a histogram, those of its buckets, count and sum."""
    found: dict[str, set[str]] = defaultdict(set)
    for family in text_string_to_metric_families(rendered()):
        for sample in family.samples:
            found[sample.name] |= set(sample.labels)
    return {name: frozenset(labels) for name, labels in found.items()}
