"""Brings the metrics up to date with what is counted elsewhere, several times a second. Acts, in a thread."""

import time
from collections.abc import Callable

from gateway.lanes import Lanes
from gateway.live import LiveHolder
from gateway.metrics import Metrics
from gateway.refresh import Refresher
from inference_log.roll import Roller
from inference_log.writer import LogWriter


class Publisher:
    """One per replica."""

    def __init__(
        self,
        metrics: Metrics,
        lanes: Lanes,
        holder: LiveHolder,
        refresher: Refresher,
        writer: LogWriter,
        roller: Roller,
        in_flight: Callable[[], int],
    ) -> None:
        self._metrics = metrics
        self._lanes = lanes
        self._holder = holder
        self._refresher = refresher
        self._writer = writer
        self._roller = roller
        self._in_flight = in_flight
        self._counted = {"appended": 0, "dropped": 0, "persisted": 0, "failed": 0}

    def publish(self) -> None:
        """What is not worth writing down request by request."""
        self._metrics.flush()
        self._lanes.publish(self._metrics.count_lane)
        self._metrics.in_flight.set(self._in_flight())
        self._metrics.snapshot_revision.set(self._holder.current.revision)
        self._metrics.snapshot_stale.set(time.monotonic() - self._refresher.heard_s)
        now = {
            "appended": self._writer.appended,
            "dropped": self._writer.dropped,
            "persisted": self._roller.rows_persisted,
            "failed": self._roller.failures,
        }
        for outcome, value in now.items():
            self._metrics.log_rows.labels(outcome).inc(value - self._counted[outcome])
        self._counted = now
