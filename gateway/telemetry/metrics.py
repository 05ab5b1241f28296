"""Prometheus metrics, right for all replicas of a machine whichever answers the scrape. Acts.

The replicas keep their values in files of one folder (prometheus-client's multiprocess mode), one set of files per
seat. Whoever takes a seat continues its predecessor's counters, so they never fall, and the number of files is
bounded by the number of seats.
"""

import os
from bisect import bisect_left
from collections.abc import Mapping
from pathlib import Path

import prometheus_client.values
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from gateway.telemetry.statistics import VersionStatistics
from registry_sync.catalogue import VersionKey

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_FILE_BYTES = 1 << 20  # what prometheus-client begins with, too

_BUCKETS_S = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip


_VERSION_LABELS = ("model", "version", "digest")
_LANE_COUNTERS = {
    "pointsman_lane_instances": ("instances", "Instances that a version was run on."),
    "pointsman_lane_runs": ("runs", "Batches that a version was run on."),
    "pointsman_lane_succeeded": ("succeeded", "Requests that a version answered."),
    "pointsman_lane_succeeded_seconds": ("succeeded_s", "What they took, waiting included."),
    "pointsman_lane_failed": ("failed", "Requests that a version failed on."),
    "pointsman_lane_failed_seconds": ("failed_s", "What they took, waiting included."),
    "pointsman_lane_queued_seconds": ("queued_s", "What requests waited for their batch."),
    "pointsman_lane_model_seconds": ("model_s", "What the batches took."),
}
_LANE_LAST = "pointsman_lane_last_seconds"
_FIELD_OF = {name: field for name, (field, _) in _LANE_COUNTERS.items()} | {_LANE_LAST: "last_at_s"}


class _Tally:
    """What one thread has noted, and how much of it another has taken. Only ever grows, so neither needs a lock."""

    __slots__ = ("_taken", "_taken_s", "buckets", "sum_s")

    def __init__(self) -> None:
        self.buckets = [0] * (len(_BUCKETS_S) + 1)
        self.sum_s = 0.0
        self._taken = self.buckets.copy()
        self._taken_s = 0.0

    def take(self) -> tuple[list[int], float]:
        """What has come since the last time: observations by bucket, and the sum of their seconds."""
        now, now_s = self.buckets.copy(), self.sum_s
        added = [count - before for count, before in zip(now, self._taken, strict=True)]
        added_s = now_s - self._taken_s
        self._taken, self._taken_s = now, now_s
        return added, added_s


_Tallies = dict[tuple[str, str, str, int], _Tally]


def _note(tallies: _Tallies, key: tuple[str, str, str, int], duration_s: float) -> None:
    tally = tallies.get(key)
    if tally is None:
        tally = tallies[key] = _Tally()
    tally.sum_s += duration_s
    tally.buckets[bisect_left(_BUCKETS_S, duration_s)] += 1


def _move(tallies: _Tallies, requests: Counter, latency: Histogram) -> None:
    for (route, arm, version, status), tally in list(tallies.items()):
        added, added_s = tally.take()
        if any(added):
            requests.labels(route, arm, version, str(status)).inc(sum(added))
            _observe(latency.labels(route, arm), added, added_s)


def _observe(histogram: Histogram, counts: list[int], sum_s: float) -> None:
    """Many observations at once, for which prometheus-client has no call of its own."""
    histogram._sum.inc(sum_s)
    for bucket, count in zip(histogram._buckets, counts, strict=True):
        if count:
            bucket.inc(count)


class Metrics:
    """One per replica."""

    def __init__(self, folder: Path, seat: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)  # where the library looks, with no other way to say it
        mark_process_dead(seat, str(folder))  # a predecessor's gauges; its counters stay
        _allocate(folder, seat)
        prometheus_client.values.ValueClass = prometheus_client.values.MultiProcessValue(lambda: seat)
        registry = CollectorRegistry()
        self._requests = Counter(
            "pointsman_requests",
            "Attempts to answer a prediction, by the arm that was asked.",
            ["route", "arm", "version", "status"],
            registry=registry,
        )
        self._latency = Histogram(
            "pointsman_request_seconds",
            "From the request's arrival to its record, by arm.",
            ["route", "arm"],
            buckets=_BUCKETS_S,
            registry=registry,
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
            "How long ago each replica last heard from its store (label pid: its seat).",
            multiprocess_mode="liveall",
            registry=registry,
        )
        self.log_rows = Counter(
            "pointsman_log_records",
            "Records of the inference log, by what became of them.",
            ["outcome"],
            registry=registry,
        )
        self._lanes = {
            field: Counter(name, help_text, _VERSION_LABELS, registry=registry)
            for name, (field, help_text) in _LANE_COUNTERS.items()
        }
        self._lane_last = Gauge(
            _LANE_LAST,
            "When a version was run last, in seconds since the epoch.",
            _VERSION_LABELS,
            multiprocess_mode="max",
            registry=registry,
        )
        self.shed = Counter("pointsman_shed", "Requests answered 429.", registry=registry)
        self.uncounted = Gauge(
            "pointsman_uncounted_bytes",
            "Of the inference log, what is not in the live sums yet.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.aborts = Counter(
            "pointsman_aborts",
            "Arms that a guardrail took out of traffic, by the replica that did it.",
            ["route", "arm", "guardrail"],
            registry=registry,
        )
        self.guardrails = Gauge(
            "pointsman_guardrail_p_value",
            "How likely as much evidence against an arm would be if it were not worse than allowed.",
            ["route", "arm", "guardrail"],
            multiprocess_mode="livemostrecent",
            registry=registry,
        )
        self.shadows_dropped = Counter(
            "pointsman_shadow_dropped",
            "Requests that a shadow did not get to see, by reason.",
            ["route", "shadow", "reason"],
            registry=registry,
        )
        self._shadow_requests = Counter(
            "pointsman_shadow_requests",
            "Requests that a shadow was asked.",
            ["route", "shadow", "version", "status"],
            registry=registry,
        )
        self._shadow_latency = Histogram(
            "pointsman_shadow_seconds",
            "From when a shadow was offered a request to its record.",
            ["route", "shadow"],
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self._tallies: _Tallies = {}
        self._shadow_tallies: _Tallies = {}

    def count(self, route: str, arm: str, version: str, status: int, duration_s: float) -> None:
        """One attempt. On the request path, so it is only noted; `flush` does the rest."""
        _note(self._tallies, (route, arm, version, status), duration_s)

    def count_shadow(self, route: str, shadow: str, version: str, status: int, duration_s: float) -> None:
        """A shadow's attempt, noted likewise."""
        _note(self._shadow_tallies, (route, shadow, version, status), duration_s)

    def flush(self) -> None:
        """Moves what was noted into the files. Called by one background thread, several times a second."""
        _move(self._tallies, self._requests, self._latency)
        _move(self._shadow_tallies, self._shadow_requests, self._shadow_latency)

    def count_lane(self, key: VersionKey, added: Mapping[str, float], last_at_s: float) -> None:
        """What a version did since the last time, by the fields of `VersionStatistics`."""
        for field, amount in added.items():
            self._lanes[field].labels(*key).inc(amount)
        self._lane_last.labels(*key).set(last_at_s)

    def lane_sums(self) -> dict[VersionKey, VersionStatistics]:
        """What every version has done, over all replicas of this machine."""
        sums: dict[VersionKey, dict[str, float]] = {}
        for family in self._collected().collect():
            if family.name in _FIELD_OF:
                for sample in family.samples:
                    key = VersionKey(*(sample.labels[label] for label in _VERSION_LABELS))
                    sums.setdefault(key, {})[_FIELD_OF[family.name]] = sample.value
        return {key: VersionStatistics(**values) for key, values in sums.items()}

    def render(self, live_seats: set[int]) -> bytes:
        """The text that a scrape gets: all replicas of this machine."""
        for seat in _seats(self._folder) - live_seats:
            mark_process_dead(seat, str(self._folder))
        return generate_latest(self._collected())

    def _collected(self) -> CollectorRegistry:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self._folder))
        return registry


def _allocate(folder: Path, seat: int) -> None:
    """Takes the space of a seat's files beforehand: they are written through memory maps, and a full disk that is met
    there ends the process.
    """
    for kind in ("counter", "histogram", "gauge_livesum", "gauge_liveall", "gauge_livemostrecent", "gauge_max"):
        descriptor = os.open(folder / f"{kind}_{seat}.db", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, _FILE_BYTES)
        finally:
            os.close(descriptor)


def _seats(folder: Path) -> set[int]:
    """Seats that have gauges on file."""
    return {int(path.stem.rpartition("_")[2]) for path in folder.glob("gauge_*.db")}
