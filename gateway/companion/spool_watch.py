"""Watches what waits in the spool, in a thread of the companion: for replicas, metrics and `pointsman status`."""

import threading
import time
from pathlib import Path

from gateway.telemetry.metric_table import (
    LOG_BOUND,
    LOG_CUT,
    LOG_FAILURES,
    LOG_OLDEST,
    LOG_RECORDS,
    LOG_SET_ASIDE_BYTES,
    LOG_SPOOL,
    LOG_WAITING,
    LOG_WAITING_SEGMENTS,
    SET_ASIDE,
)
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.periodic import LogOnce, PeriodicJob, run_every
from inference_log.disk_bound import DiskUse, Shed, bound_bytes, write_use
from inference_log.ship import Shipper
from inference_log.waiting import SpoolMeter, Waiting
from inference_log.writer import LogWriter
from router.quantities import format_rough_duration

_EVERY_S = 1.0
_LATE_S = 300.0
_MUCH = 0.5
"""The share of the bound above which the log is said to lag."""


class SpoolWatch:
    """One per companion. `run` is the thread; others publish and read `trouble`. `setting` is that of the bound, or 0.

    What is left out is left out by `writer`, too.
    """

    def __init__(self, spool: Path, setting: int, shipper: Shipper, writer: LogWriter) -> None:
        self._spool = spool
        self._shipper = shipper
        self._writer = writer
        self._meter = SpoolMeter(spool, shipper.is_stored)
        self._use = DiskUse(Waiting(), bound_bytes(spool, setting))
        self._shedding = LogOnce("inference_log.bound.reached", "inference_log.bound.left")

    def run(self, stop: threading.Event) -> None:
        """Watch until `stop` is set."""
        run_every(stop, _EVERY_S, PeriodicJob(self.look, "inference_log.bound.failed"))

    def look(self) -> None:
        """Measure, and tell the replicas.

        Raises:
            OSError: the spool cannot be read or written.
        """
        use = self._use = DiskUse(self._meter.measure(), self._use.max_bytes)
        self._writer.leaves_out = use.shed
        self._shedding.note(_shed_sentence(use))
        write_use(self._spool, use)

    def trouble(self, now_s: float) -> str:
        """Return what an operator should know at `now_s`, in seconds since the epoch, or an empty text."""
        waiting, shipper_trouble = self._use.waiting, self._shipper.trouble
        sentences = [_shed_sentence(self._use)]
        age_s = _age_s(waiting, now_s)
        if age_s > _LATE_S or waiting.total_bytes > _MUCH * self._use.max_bytes:
            sentences.append(
                f"The log lags: {_size(waiting.segment_bytes)} wait on this machine, the oldest row for "
                f"{format_rough_duration(age_s)}. {shipper_trouble}".rstrip()
            )
        if waiting.set_aside:
            sentences.append(
                f"Segments of the log were set aside: {waiting.set_aside}, {_size(waiting.set_aside_bytes)}. "
                "Their rows are not in the log; docs/operating.md says what to do (The log)."
            )
        return " ".join(filter(None, sentences))

    def publish(self, metrics: Metrics) -> None:
        """Set the metrics."""
        shipper, waiting = self._shipper, self._use.waiting
        metrics.set_total(LOG_RECORDS, shipper.rows_persisted, "persisted")
        metrics.set_total(LOG_RECORDS, shipper.failures, "failed")
        metrics.set_total(SET_ASIDE, shipper.set_aside)
        metrics.set_total(LOG_CUT, shipper.cut_bytes, "bytes")
        metrics.set_total(LOG_CUT, shipper.cut_rows, "rows")
        for code, failed in list(shipper.failed.items()):
            metrics.set_total(LOG_FAILURES, failed, code)
        gauges = {
            LOG_OLDEST: _age_s(waiting, time.time()),
            LOG_WAITING: waiting.segment_bytes,
            LOG_WAITING_SEGMENTS: waiting.segments,
            LOG_SET_ASIDE_BYTES: waiting.set_aside_bytes,
            LOG_SPOOL: waiting.total_bytes,
            LOG_BOUND: self._use.max_bytes,
        }
        for name, value in gauges.items():
            metrics.set_gauge(name, ((), value))


def _age_s(waiting: Waiting, now_s: float) -> float:
    """Return the age of the oldest row that waits. A clock that was set back makes none negative."""
    return 0.0 if waiting.oldest_s is None else max(0.0, now_s - waiting.oldest_s)


def _shed_sentence(use: DiskUse) -> str:
    left_out = {
        Shed.BEST_EFFORT: "Rows of routes with durability best_effort are",
        Shed.ALL: "All rows are",
    }.get(use.shed)
    if left_out is None:
        return ""
    return f"{left_out} left out of the log, since it may take {_size(use.max_bytes)} here (LOG_MAX_DISK_BYTES)."


def _size(size_bytes: int) -> str:
    """Write a size for people: `7 MB`, `1.2 GB`."""
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"
