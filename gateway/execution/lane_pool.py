"""The lanes of one replica, by version and placement.

A lane outlives snapshots. What was measured of the version, the requests in its queue and the state of its breaker stay
as long as any route uses the version. If the version is also a shadow somewhere, it has a second lane for that, with
its own queue, breaker, thread and process.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import structlog

from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.execution.dedicated import Dedicated
from gateway.execution.executor import Executor
from gateway.execution.in_replica import ReplicaExecutor
from gateway.execution.lane import Lane, LaneKey
from gateway.execution.latency import LatencyModel, measured_times
from gateway.execution.process.executor import ProcessExecutor
from gateway.execution.process.model import ProcessOptions
from gateway.execution.process.pool import ProcessPool
from gateway.execution.wedged_versions import FOLDER, WedgedVersions
from gateway.telemetry.statistics import LaneStatistics
from registry_sync.catalogue import Version, VersionKey
from runtimes.batching import is_batchable
from runtimes.errors import ModelRefused
from runtimes.manifest import Manifest, Placement

_log = structlog.get_logger()

_NOTHING: Mapping[str, float] = asdict(LaneStatistics())


@dataclass(frozen=True, slots=True)
class LaneOptions:
    """How the lanes of this replica run their batches. `processes` is what placement `process` needs.

    `home` has the versions that never run on the event loop.
    """

    threads: int
    inline_below_s: float
    processes: ProcessOptions | None = None
    home: Path | None = None


class LanePool:
    """The lanes of one replica. The pool belongs to the reconciler's thread, the lanes belong to the event loop."""

    def __init__(self, end_of_turn: EndOfTurn, options: LaneOptions, dedicated: Dedicated | None) -> None:
        self._end_of_turn = end_of_turn
        self._options = options
        self._dedicated = dedicated
        self._processes = ProcessPool(options.processes)
        self._lanes: dict[LaneKey, Lane] = {}
        self._manifests: dict[LaneKey, Manifest] = {}
        self._published: dict[LaneKey, Mapping[str, float]] = {}
        self._publishing = threading.Lock()  # guards `_lanes` and `_published`: other threads publish

    def lane(self, version: Version, placement: Placement, is_shadow: bool = False) -> Lane:
        """Return the lane of a version. Open it if there is none, or if the version's manifest has changed.

        The process of a shadow is started in the background, since no client waits for it. Call this again once
        `has_news` returns True.

        Raises:
            ModelRefused: a version with a process or an application of its own cannot be served, or not yet.
        """
        key = LaneKey(version.key, placement, is_shadow)
        lane = self._lanes.get(key)
        if lane is None or self._manifests[key] != version.manifest:
            opened = self._open(key, version)
            if lane is not None:
                self._retire(lane)
            with self._publishing:
                lane = self._lanes[key] = opened
                self._manifests[key] = version.manifest
                self._published.pop(key, None)
        return lane

    def has_news(self) -> bool:
        """Return True if a process that was started in the background is ready, or could not be started."""
        return self._processes.has_news()

    def publish(self, count: Callable[[VersionKey, Mapping[str, float], float], None]) -> None:
        """Call `count` with what each version has done since the last time, and the time of day."""
        with self._publishing:
            for key, lane in self._lanes.items():
                now = asdict(lane.statistics)
                before = self._published.get(key, _NOTHING)
                if now != before:
                    count(key.version, {field: value - before[field] for field, value in now.items()}, time.time())
                    self._published[key] = now

    def retain(self, keys: Collection[LaneKey], *, is_all: bool = True) -> None:
        """Forget all other lanes; requests in their queues are still answered. For `is_all` see `Dedicated.retain`."""
        for key, lane in self._lanes.items():
            if key not in keys:
                self._retire(lane)
        with self._publishing:
            self._lanes = {key: lane for key, lane in self._lanes.items() if key in keys}
            self._manifests = {key: manifest for key, manifest in self._manifests.items() if key in keys}
            self._published = {key: sums for key, sums in self._published.items() if key in keys}
        self._processes.retain(keys)
        if self._dedicated is not None:
            self._dedicated.retain({key.version for key in keys if key.placement == "dedicated"}, is_all=is_all)

    def close(self) -> None:
        """End all processes, when the replica ends. Block until they have ended."""
        for lane in self._lanes.values():
            self._retire(lane)
        self._processes.close()

    def _retire(self, lane: Lane) -> None:
        if isinstance(lane.executor, ProcessExecutor):
            self._processes.retire(lane.executor)

    def _open(self, key: LaneKey, version: Version) -> Lane:
        executor: Executor
        if key.placement == "dedicated":
            if self._dedicated is None:
                raise ModelRefused(
                    f"{version.key} wants an application of its own, which only the engine ray can give it; "
                    "serve it with placement: replica, or start with --engine ray."
                )
            executor, is_batching = self._dedicated.open(version)
        elif key.placement == "process":
            executor, is_batching = self._processes.open(key, version)
        else:
            executor, is_batching = self._in_replica(key, version)
        is_fixed = all(-1 not in spec.shape[1:] for spec in version.manifest.inputs)
        return Lane(key, executor, self._end_of_turn, is_batching=is_batching, has_one_shape_key=is_fixed)

    def _in_replica(self, key: LaneKey, version: Version) -> tuple[Executor, bool]:
        """Return an executor and True if it batches. A shadow gets one thread and never runs on the event loop.

        A shadow may become slow or hang from one batch to the next. A version that has hung there does not run there.
        """
        options = replace(self._options, threads=1, inline_below_s=0.0) if key.is_shadow else self._options
        if options.home is not None and WedgedVersions(options.home / FOLDER).holds(key.version):
            _log.warning("gateway.lane.in_threads", version=str(key.version), reason="it has blocked the event loop")
            options = replace(options, inline_below_s=0.0)
        if version.runtime is None:
            raise ModelRefused(f"{version.key} is {version.state}, not READY.")
        is_batching = version.manifest.max_batch > 1 and is_batchable(version.runtime)
        executor = ReplicaExecutor(
            version.runtime,
            LatencyModel(*measured_times(version.runtime)),
            threads=options.threads,
            inline_below_s=options.inline_below_s,
            max_rows=version.manifest.max_batch,
            row_by_row=is_batching,
        )
        return executor, is_batching
