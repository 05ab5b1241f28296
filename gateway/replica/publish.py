"""Publishes the numbers of a replica, about once a second, and when the metrics are asked for."""

import contextlib
import threading
import time
from collections.abc import Callable

from gateway.control.replica_view import ReplicaView
from gateway.execution.lane_pool import LanePool
from gateway.inference.shadows import Shadows
from gateway.telemetry.metric_table import IN_FLIGHT, LOG_DROPPED, LOG_RECORDS, REVISION, SHADOW_DROPPED, STALE, WARNED
from gateway.telemetry.metrics import Metrics
from inference_log.writer import LogWriter


class Publisher:
    """One per replica."""

    def __init__(
        self,
        *,
        metrics: Metrics,
        lanes: LanePool,
        view: ReplicaView,
        writer: LogWriter,
        shadows: Shadows,
        in_flight: Callable[[], int],
    ) -> None:
        self._metrics = metrics
        self._lanes = lanes
        self._view = view
        self._writer = writer
        self._shadows = shadows
        self._in_flight = in_flight
        self._lock = threading.Lock()  # a thread publishes, and so does each scrape

    def publish(self) -> None:
        """Publish what was counted and what is measured now.

        Raises:
            OSError: the disk is full or failing.
        """
        with self._lock:
            self._metrics.set_gauge(IN_FLIGHT, ((), self._in_flight()))
            self._publish()

    def publish_for_scrape(self) -> None:
        """Do so for a request that asks for the metrics. It does not count as a request in flight."""
        with self._lock, contextlib.suppress(OSError):
            self._publish()

    def count_lanes(self) -> None:
        """Count what the versions of this replica have done up to now, without publishing it."""
        with self._lock:
            self._lanes.publish(self._metrics.count_lane)

    def _publish(self) -> None:
        metrics = self._metrics
        self._lanes.publish(metrics.count_lane)
        metrics.set_gauge(REVISION, ((), self._view.revision))
        metrics.set_gauge(STALE, ((), time.monotonic() - self._view.store_contact_s))
        report = self._view.report()
        metrics.set_gauge(WARNED, ((), len(report.problems.keys() | report.warnings.keys())))
        metrics.set_total(LOG_RECORDS, self._writer.appended, "appended")
        metrics.set_total(LOG_RECORDS, self._writer.dropped, "dropped")
        metrics.set_total(LOG_RECORDS, self._writer.shed, "shed")
        for reason, dropped in self._writer.dropped_by.items():
            metrics.set_total(LOG_DROPPED, dropped, reason)
        for key, dropped in self._shadows.dropped.copy().items():
            metrics.set_total(SHADOW_DROPPED, dropped, *key)
        metrics.publish()
