"""Prometheus metrics, right for all replicas of a machine whichever answers the scrape. Acts.

The replicas keep their values in files of one folder (prometheus-client's multiprocess mode), one set of files per
seat. Whoever takes a seat continues its predecessor's counters, so they never fall, and the number of files is
bounded by the number of seats.
"""

import os
from bisect import bisect_left
from pathlib import Path

import prometheus_client.values
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_FILE_BYTES = 1 << 20  # what prometheus-client begins with, too

_BUCKETS_S = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip


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
        self.shed = Counter("pointsman_shed", "Requests answered 429.", registry=registry)
        self._tallies: dict[tuple[str, str, str, int], _Tally] = {}

    def count(self, route: str, arm: str, version: str, status: int, duration_s: float) -> None:
        """One attempt. On the request path, so it is only noted; `flush` does the rest."""
        tally = self._tallies.get((route, arm, version, status))
        if tally is None:
            tally = self._tallies[route, arm, version, status] = _Tally()
        tally.sum_s += duration_s
        tally.buckets[bisect_left(_BUCKETS_S, duration_s)] += 1

    def flush(self) -> None:
        """Moves what was noted into the files. Called by one background thread, several times a second."""
        for (route, arm, version, status), tally in list(self._tallies.items()):
            added, added_s = tally.take()
            if any(added):
                self._requests.labels(route, arm, version, str(status)).inc(sum(added))
                _observe(self._latency.labels(route, arm), added, added_s)

    def render(self, live_seats: set[int]) -> bytes:
        """The text that a scrape gets: all replicas of this machine."""
        for seat in _seats(self._folder) - live_seats:
            mark_process_dead(seat, str(self._folder))
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self._folder))
        return generate_latest(registry)


def _allocate(folder: Path, seat: int) -> None:
    """Takes the space of a seat's files beforehand: they are written through memory maps, and a full disk that is met
    there ends the process.
    """
    for kind in ("counter", "histogram", "gauge_livesum", "gauge_liveall"):
        descriptor = os.open(folder / f"{kind}_{seat}.db", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, _FILE_BYTES)
        finally:
            os.close(descriptor)


def _seats(folder: Path) -> set[int]:
    """Seats that have gauges on file."""
    return {int(path.stem.rpartition("_")[2]) for path in folder.glob("gauge_*.db")}
