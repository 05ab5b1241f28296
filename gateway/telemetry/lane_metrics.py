"""The statistics of model versions as Prometheus metrics, which replicas also read back to sum them."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

from gateway.telemetry.statistics import VersionStatistics
from registry_sync.catalogue import VersionKey

_LABELS = ("model", "version", "digest")
_COUNTERS = {
    "pointsman_lane_instances": ("instances", "Instances that a version was run on."),
    "pointsman_lane_runs": ("runs", "Batches that a version was run on."),
    "pointsman_lane_succeeded": ("succeeded", "Requests that a version answered."),
    "pointsman_lane_succeeded_seconds": ("succeeded_s", "Seconds that those requests took, with the time they waited."),
    "pointsman_lane_failed": ("failed", "Requests that a version failed on."),
    "pointsman_lane_failed_seconds": ("failed_s", "Seconds that those requests took, with the time they waited."),
    "pointsman_lane_queued_seconds": ("queued_s", "Seconds that requests waited for their batch."),
    "pointsman_lane_model_seconds": ("model_s", "Seconds that the batches took."),
}
_LAST = "pointsman_lane_last_seconds"
_FIELD_OF = {name: field for name, (field, _) in _COUNTERS.items()} | {_LAST: "last_at_s"}


class LaneMetrics:
    """One counter for each field of `LaneStatistics`, and a gauge for the time of the last run."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counters = {
            field: Counter(name, help_text, _LABELS, registry=registry)
            for name, (field, help_text) in _COUNTERS.items()
        }
        self._last = Gauge(
            _LAST,
            "When a version was run last, in seconds since the epoch.",
            _LABELS,
            multiprocess_mode="max",
            registry=registry,
        )

    def count(self, key: VersionKey, added: Mapping[str, float], last_at_s: float) -> None:
        """Add what a version did since the last call, by the fields of `LaneStatistics`."""
        for field, amount in added.items():
            self._counters[field].labels(*key).inc(amount)
        self._last.labels(*key).set(last_at_s)


def read_sums(collected: CollectorRegistry) -> dict[VersionKey, VersionStatistics]:
    """Return the statistics of every version from metrics that were collected from all replicas of a machine."""
    sums: dict[VersionKey, dict[str, float]] = {}
    for family in collected.collect():
        if family.name in _FIELD_OF:
            for sample in family.samples:
                key = VersionKey(*(sample.labels[label] for label in _LABELS))
                sums.setdefault(key, {})[_FIELD_OF[family.name]] = sample.value
    return {key: VersionStatistics(**values) for key, values in sums.items()}
