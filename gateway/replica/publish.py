"""Copies into the metrics what other parts count. Runs several times a second, in the reconciler's thread."""

import time
from collections.abc import Callable

from gateway.control.log_counter import LogCounter
from gateway.control.replica_view import ReplicaView
from gateway.control.rollouts import RolloutDriver
from gateway.execution.lane_pool import LanePool
from gateway.inference.shadows import Shadows
from gateway.telemetry.metrics import Metrics
from inference_log.ship import Shipper
from inference_log.writer import LogWriter

_Key = tuple[str, str, str]


class Publisher:
    """One per replica."""

    def __init__(
        self,
        *,
        metrics: Metrics,
        lanes: LanePool,
        view: ReplicaView,
        writer: LogWriter,
        shipper: Shipper,
        counter: LogCounter,
        rollouts: RolloutDriver,
        shadows: Shadows,
        in_flight: Callable[[], int],
    ) -> None:
        self._metrics = metrics
        self._lanes = lanes
        self._view = view
        self._writer = writer
        self._shipper = shipper
        self._counter = counter
        self._rollouts = rollouts
        self._shadows = shadows
        self._in_flight = in_flight
        self._dropped: dict[_Key, int] = {}
        self._aborted: dict[_Key, int] = {}
        self._counted = {"appended": 0, "dropped": 0, "persisted": 0, "failed": 0}
        self._set_aside = 0

    def publish(self) -> None:
        """Publish what is too expensive to publish request by request."""
        self._metrics.flush()
        self._lanes.publish(self._metrics.count_lane)
        self._metrics.in_flight.set(self._in_flight())
        self._metrics.snapshot_revision.set(self._view.revision)
        self._metrics.snapshot_stale.set(time.monotonic() - self._view.store_contact_s)
        now = {
            "appended": self._writer.appended,
            "dropped": self._writer.dropped,
            "persisted": self._shipper.rows_persisted,
            "failed": self._shipper.failures,
        }
        for outcome, value in now.items():
            self._metrics.log_rows.labels(outcome).inc(value - self._counted[outcome])
        self._counted = now
        set_aside = self._shipper.set_aside
        self._metrics.set_aside.inc(set_aside - self._set_aside)
        self._set_aside = set_aside
        self._publish_rollouts()

    def _publish_rollouts(self) -> None:
        metrics = self._metrics
        metrics.uncounted.set(self._counter.behind_bytes)
        for key, dropped in _added(self._shadows.dropped.copy(), self._dropped):
            metrics.shadows_dropped.labels(*key).inc(dropped)
        for key, aborted in _added(self._rollouts.aborts.copy(), self._aborted):
            metrics.aborts.labels(*key).inc(aborted)
        for route, findings in self._rollouts.verdicts.items():
            for found in findings:
                metrics.guardrails.labels(route, found.arm, found.guardrail).set(found.verdict.p_value)


def _added(now: dict[_Key, int], published: dict[_Key, int]) -> list[tuple[_Key, int]]:
    """Return what was added since the last call, and note the new counts in `published`."""
    added = [(key, value - published.get(key, 0)) for key, value in now.items()]
    published.update(now)
    return [(key, value) for key, value in added if value]
