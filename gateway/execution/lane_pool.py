"""The lanes of one replica, by version and placement.

A lane outlives snapshots. What was measured of the version, the requests in its queue and the state of its breaker stay
as long as any route uses the version. If the version is also a shadow somewhere, it has a second lane for that, with
its own queue, breaker, thread and process.

Opening a lane takes long: the version is measured, or a process or an application is started. It is done in the
background.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from functools import partial

from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.eventloop.freed_memory import trim
from gateway.execution.constant_lane import ConstantLane
from gateway.execution.dedicated import Dedicated
from gateway.execution.executor import Executor
from gateway.execution.lane import Lane, LaneKey
from gateway.execution.open_in_replica import LaneOptions, open_in_replica
from gateway.execution.process.executor import ProcessExecutor
from gateway.execution.process.pool import ProcessPool
from gateway.telemetry.statistics import LaneStatistics
from registry_sync.background import Background, Pending, Start, at_once
from registry_sync.loader import Loader
from registry_sync.memory_budget import MemoryBudget
from registry_sync.version import Version, VersionKey
from runtimes.constant.runtime import ConstantRuntime
from runtimes.errors import ModelRefused, StillLoading
from runtimes.manifest import Manifest, Placement

_RETRY_AFTER_S = 30.0  # a process that could not be started costs seconds of a processor each time
_APPLICATION_EVERY_S = 0.5
_TRIMS = 2  # after lanes were forgotten: a request may hold the model of one for a moment longer

_NOTHING: Mapping[str, float] = asdict(LaneStatistics())


class LanePool:
    """The lanes of one replica. The pool belongs to the reconciler's thread, the lanes belong to the event loop.

    `start` says where lanes are opened. `loader` loads versions of another placement that a route wants in the replica.
    Processes take memory of the `budget`.
    """

    def __init__(
        self,
        end_of_turn: EndOfTurn,
        options: LaneOptions,
        dedicated: Dedicated | None,
        start: Start = at_once,
        clock: Callable[[], float] = time.monotonic,
        loader: Loader | None = None,
        budget: MemoryBudget | None = None,
    ) -> None:
        self._end_of_turn = end_of_turn
        self._options = options
        self._dedicated = dedicated
        self._applications = threading.Lock()  # held while `_dedicated` is used; never by the reconciler's thread
        self._wanted_applications: set[LaneKey] = set()
        self._has_all_routes = False
        self._closing = threading.Event()
        self._processes = ProcessPool(options.processes, budget or MemoryBudget())
        self._loader = loader
        self._opening = Background[tuple[LaneKey, Manifest], Lane](start, _RETRY_AFTER_S, self._discard, clock)
        self._tidying = Background[str, None](start, 0.0)
        self._trims_due = 0
        self._lanes: dict[LaneKey, Lane] = {}
        self._manifests: dict[LaneKey, Manifest] = {}
        self._published: dict[LaneKey, Mapping[str, float]] = {}
        self._publishing = threading.Lock()  # guards `_lanes` and `_published`: other threads publish

    def lane(self, version: Version, placement: Placement, is_shadow: bool = False) -> Lane:
        """Return the lane of a version. Have it opened if there is none, or if the version's manifest has changed.

        This never waits. Call it again once `has_news` returns True.

        Raises:
            StillLoading: the lane is being opened.
            ModelFailed, ModelRefused: the version cannot be served there.
        """
        key = LaneKey(version.key, placement, is_shadow, version.seen)
        lane = self._lanes.get(key)
        if lane is None or self._manifests[key] != version.manifest:
            opened = self._opened(key, version)
            if lane is not None:
                self._retire(lane)
            with self._publishing:
                lane = self._lanes[key] = opened
                self._manifests[key] = version.manifest
                self._published.pop(key, None)
        return lane

    def _opened(self, key: LaneKey, version: Version) -> Lane:
        if isinstance(version.runtime, ConstantRuntime):  # there is nothing to load, to measure or to start
            return ConstantLane(key, version.runtime, self._end_of_turn)
        if key.placement == "dedicated":
            self._wanted_applications |= {key}
        try:
            return self._opening.ask((key, version.manifest), partial(self._open, key, version))
        except Pending as pending:
            raise StillLoading(f"loading {key.version} {pending}") from None

    def has_news(self) -> bool:
        """Return True if a lane was opened in the background, or could not be, since the last call."""
        return self._opening.has_news()

    def publish(self, count: Callable[[VersionKey, Mapping[str, float], float], None]) -> None:
        """Call `count` with what each version has done since the last time, and the time of day."""
        with self._publishing:
            for key, lane in self._lanes.items():
                now = asdict(lane.statistics)
                before = self._published.get(key, _NOTHING)
                if now != before:
                    count(key.version, {field: value - before[field] for field, value in now.items()}, time.time())
                    self._published[key] = now

    def retain(
        self, keys: Collection[LaneKey], named: Collection[LaneKey] = frozenset(), *, is_all: bool = True
    ) -> None:
        """Forget all other lanes; requests in their queues are still answered. For `is_all` see `Dedicated.retain`.

        What is in `named` is kept behind any signature.
        """

        def is_kept(key: LaneKey) -> bool:
            return key in keys or key._replace(seen=None) in named

        for key, lane in self._lanes.items():
            if not is_kept(key):
                self._retire(lane)
                if self._loader is not None:
                    self._loader.give_back(key.version, key)
        before = len(self._lanes)
        with self._publishing:
            self._lanes = {key: lane for key, lane in self._lanes.items() if is_kept(key)}
            self._manifests = {key: manifest for key, manifest in self._manifests.items() if is_kept(key)}
            self._published = {key: sums for key, sums in self._published.items() if is_kept(key)}
        self._opening.retain(lambda each: is_kept(each[0]))
        self._processes.end_unused()
        asked = self._wanted_applications.union(keys)
        self._wanted_applications = {key for key in asked if key.placement == "dedicated" and is_kept(key)}
        self._has_all_routes = is_all
        with contextlib.suppress(Pending):
            self._tidying.ask("applications", self._end_applications)
        if len(self._lanes) < before:
            self._trims_due = _TRIMS
        if self._trims_due:
            with contextlib.suppress(Pending):
                self._tidying.ask("memory", trim)
                self._trims_due -= 1

    def close(self) -> None:
        """End all processes, when the replica ends. Wait a little for their end."""
        self._closing.set()
        for lane in self._lanes.values():
            self._retire(lane)
        self._opening.retain(lambda _: False)
        self._processes.close()

    def _end_applications(self) -> None:
        if self._dedicated is not None:
            with self._applications:
                wanted = {(key.version, key.seen) for key in self._wanted_applications}
                self._dedicated.retain(wanted, is_all=self._has_all_routes)

    def _discard(self, lane: Lane) -> None:
        """End what was opened for a lane that is not wanted any more."""
        if isinstance(lane.executor, ProcessExecutor):
            self._processes.discard(lane.executor)

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
            executor, because = self._application(self._dedicated, key, version)
        elif key.placement == "process":
            executor, because = self._processes.open(key, version)
        else:
            executor, because = open_in_replica(self._options, self._loader, key, version)
        is_fixed = all(-1 not in spec.shape[1:] for spec in version.manifest.inputs)
        return Lane(
            key,
            executor,
            self._end_of_turn,
            is_batching=not because,
            unbatched_because=because,
            has_one_shape_key=is_fixed,
        )

    def _application(self, dedicated: Dedicated, key: LaneKey, version: Version) -> tuple[Executor, str]:
        """Return an executor, and why requests are never merged, once the application runs."""
        while True:
            try:
                with self._applications:
                    return dedicated.open(version)
            except StillLoading:
                if key not in self._wanted_applications or self._closing.wait(_APPLICATION_EVERY_S):
                    raise
