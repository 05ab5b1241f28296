"""The Prometheus metrics of a replica. Each replica answers a scrape for all replicas of its machine."""

from collections.abc import Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from gateway.telemetry.lane_metrics import LaneMetrics, read_sums
from gateway.telemetry.metric_files import MetricFiles
from gateway.telemetry.statistics import VersionStatistics
from gateway.telemetry.tallies import BUCKETS_S, Tallies, note, take
from registry_sync.catalogue import VersionKey

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The metrics of one replica, which holds a seat."""

    def __init__(self, folder: Path, seat: int) -> None:
        self._files = MetricFiles(folder, seat)
        registry = CollectorRegistry()
        self._lanes = LaneMetrics(registry)
        self._tallies: Tallies = {}
        self._requests = _TimedRequests(
            self._tallies,
            Counter(
                "pointsman_requests",
                "Attempts to answer a prediction, by arm.",
                ["route", "arm", "version", "status"],
                registry=registry,
            ),
            Histogram(
                "pointsman_request_seconds",
                "From the request's arrival to its record, by arm.",
                ["route", "arm"],
                buckets=BUCKETS_S,
                registry=registry,
            ),
        )
        self._shadow_tallies: Tallies = {}
        self._shadow_requests = _TimedRequests(
            self._shadow_tallies,
            Counter(
                "pointsman_shadow_requests",
                "Requests that were sent to a shadow.",
                ["route", "shadow", "version", "status"],
                registry=registry,
            ),
            Histogram(
                "pointsman_shadow_seconds",
                "From the offer of a request to a shadow to its record.",
                ["route", "shadow"],
                buckets=BUCKETS_S,
                registry=registry,
            ),
        )
        self.in_flight = Gauge(
            "pointsman_in_flight",
            "Requests being worked on.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.snapshot_revision = Gauge(
            "pointsman_snapshot_revision",
            "The store's revision that each replica serves from (label pid: its seat).",
            multiprocess_mode="liveall",
            registry=registry,
        )
        self.snapshot_stale = Gauge(
            "pointsman_snapshot_stale_seconds",
            "Seconds since each replica last reached its store (label pid: its seat).",
            multiprocess_mode="liveall",
            registry=registry,
        )
        self.log_rows = Counter(
            "pointsman_log_records",
            "Records of the inference log, by what became of them.",
            ["outcome"],
            registry=registry,
        )
        self.set_aside = Counter(
            "pointsman_log_segments_set_aside",
            "Segments of the inference log that could not be turned into Parquet.",
            registry=registry,
        )
        self.shed = Counter("pointsman_shed", "Requests answered 429.", registry=registry)
        self.uncounted = Gauge(
            "pointsman_uncounted_bytes",
            "Bytes of the inference log that are not in the live sums yet.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.aborts = Counter(
            "pointsman_aborts",
            "Arms that a guardrail took out of traffic, counted by the replica that did it.",
            ["route", "arm", "guardrail"],
            registry=registry,
        )
        self.guardrails = Gauge(
            "pointsman_guardrail_p_value",
            "The probability of as much evidence against an arm if it were not worse than allowed.",
            ["route", "arm", "guardrail"],
            multiprocess_mode="livemostrecent",
            registry=registry,
        )
        self.shadows_dropped = Counter(
            "pointsman_shadow_dropped",
            "Requests that were not sent to a shadow, by reason.",
            ["route", "shadow", "reason"],
            registry=registry,
        )

    def count(self, route: str, arm: str, version: str, status: int, duration_s: float) -> None:
        """Note one attempt of an arm. This is on the request path; `flush` does the rest."""
        note(self._tallies, (route, arm, version, status), duration_s)

    def count_shadow(self, route: str, shadow: str, version: str, status: int, duration_s: float) -> None:
        """Note one attempt of a shadow, as `count` does."""
        note(self._shadow_tallies, (route, shadow, version, status), duration_s)

    def flush(self) -> None:
        """Move what was noted into the files. One background thread calls this several times a second."""
        self._requests.flush()
        self._shadow_requests.flush()

    def count_lane(self, key: VersionKey, added: Mapping[str, float], last_at_s: float) -> None:
        """Add what a version did since the last call, by the fields of `LaneStatistics`."""
        self._lanes.count(key, added, last_at_s)

    def lane_sums(self) -> dict[VersionKey, VersionStatistics]:
        """Return what every version has done, over all replicas of this machine."""
        return read_sums(self._files.collect())

    def render(self, live_seats: set[int]) -> bytes:
        """Return the text of a scrape, for all replicas of this machine."""
        self._files.remove_dead(live_seats)
        return generate_latest(self._files.collect())


class _TimedRequests:
    """A counter and a histogram of the same requests, and the tallies that are moved to them."""

    def __init__(self, tallies: Tallies, counter: Counter, histogram: Histogram) -> None:
        self._tallies = tallies
        self._counter = counter
        self._histogram = histogram

    def flush(self) -> None:
        for (route, target, version, status), added, added_s in take(self._tallies):
            self._counter.labels(route, target, version, str(status)).inc(sum(added))
            _observe(self._histogram.labels(route, target), added, added_s)


def _observe(histogram: Histogram, counts: list[int], sum_s: float) -> None:
    """Add many observations at once, for which prometheus-client has no method."""
    histogram._sum.inc(sum_s)
    for bucket, count in zip(histogram._buckets, counts, strict=True):
        if count:
            bucket.inc(count)
