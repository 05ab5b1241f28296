"""The lanes of one replica, by version and placement. Acts, in the refresh thread.

A version's lane outlives snapshots: what has been measured of it, what waits before it and what its breaker knows stay
as long as any route uses it. A version that is a shadow somewhere has another lane for that: its queue, its breaker,
its thread and its process are not those of a primary.
"""

import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Protocol

from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.execution.executor import Executor, ReplicaExecutor
from gateway.execution.lane import Lane, LaneKey
from gateway.execution.latency import LatencyModel
from gateway.execution.process.child import Model, ProcessOptions
from gateway.execution.process.executor import ProcessExecutor
from gateway.execution.process.supervisor import Supervisor
from gateway.telemetry.statistics import LaneStatistics
from registry_sync.catalogue import Version, VersionKey
from runtimes.batching import is_batchable
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.manifest import Manifest, Placement
from runtimes.runtime import Runtime, example_inputs

_RUNS = 3
_ROWS = 16
_NOTHING: Mapping[str, float] = asdict(LaneStatistics())
_RETRY_AFTER_S = 30.0  # a process that could not be started costs seconds of a processor each time
_SHADOW_NICE = 10
_OPENED_AT_ONCE = 4  # one that hangs while it loads does not keep the others waiting


class Dedicated(Protocol):
    """Gives versions applications of their own. Called in the refresh thread; may block."""

    def open(self, version: Version) -> tuple[Executor, bool]:
        """What runs the version's batches, once it answers; and whether its requests can be batched.

        Raises:
            ModelRefused: it cannot be started, or not yet; the sentence says which.
        """

    def retain(self, versions: Collection[VersionKey], *, is_all: bool) -> None:
        """Ends, by and by, the applications of versions that nobody uses any more.

        If `is_all`, there are no others that anybody might use, so what another replica has left may go, too.
        """


@dataclass(frozen=True, slots=True)
class LaneOptions:
    """How lanes of this process run their batches. `processes` is what placement `process` needs."""

    threads: int
    inline_below_s: float
    processes: ProcessOptions | None = None


class LanePool:
    """One per replica, used by one thread; the lanes themselves belong to the event loop."""

    def __init__(self, turn: EndOfTurn, options: LaneOptions, dedicated: Dedicated | None) -> None:
        self._turn = turn
        self._options = options
        self._dedicated = dedicated
        self._lanes: dict[LaneKey, Lane] = {}
        self._manifests: dict[LaneKey, Manifest] = {}
        self._published: dict[LaneKey, Mapping[str, float]] = {}
        self._refused: dict[LaneKey, tuple[Manifest, float, str]] = {}
        self._leaving: list[ProcessExecutor] = []
        self._opening: dict[LaneKey, Future[tuple[ProcessExecutor, bool]]] = {}
        self._opener = ThreadPoolExecutor(_OPENED_AT_ONCE, thread_name_prefix="open")
        self._starting: set[Supervisor] = set()

    def lane(self, version: Version, placement: Placement, is_shadow: bool = False) -> Lane:
        """The lane of a version, opened if it is not, or if what its manifest says has changed.

        The process of a shadow is started aside, for nobody waits for it: ask again once there `has_news`.

        Raises:
            ModelRefused: a version with a process or an application of its own cannot be served, or not yet.
        """
        key = LaneKey(version.key, placement, is_shadow)
        lane = self._lanes.get(key)
        if lane is None or self._manifests[key] != version.manifest:
            opened = self._open(key, version)
            if lane is not None:
                self._leave(lane)
            lane = self._lanes[key] = opened
            self._manifests[key] = version.manifest
            self._published.pop(key, None)
        return lane

    def has_news(self) -> bool:
        """Whether a process that was started aside is there, or could not be had."""
        return any(future.done() for future in self._opening.values())

    def publish(self, count: Callable[[VersionKey, Mapping[str, float], float], None]) -> None:
        """Tells what each version has done since the last time, and when."""
        for key, lane in self._lanes.items():
            now = asdict(lane.statistics)
            before = self._published.get(key, _NOTHING)
            if now != before:
                count(key.version, {field: value - before[field] for field, value in now.items()}, time.time())
                self._published[key] = now

    def retain(self, keys: Collection[LaneKey], *, is_all: bool = True) -> None:
        """Forgets the others; what waits in them is still answered. For `is_all` see `Dedicated.retain`."""
        for key, lane in self._lanes.items():
            if key not in keys:
                self._leave(lane)
        self._lanes = {key: lane for key, lane in self._lanes.items() if key in keys}
        self._manifests = {key: manifest for key, manifest in self._manifests.items() if key in keys}
        self._published = {key: sums for key, sums in self._published.items() if key in keys}
        self._refused = {key: refusal for key, refusal in self._refused.items() if key in keys}
        for key in self._opening.keys() - keys:
            self._opening.pop(key).add_done_callback(_close_opened)
        if self._options.processes is not None:
            linger_s = self._options.processes.linger_s
            self._leaving = [executor for executor in self._leaving if not executor.close_if_unused(linger_s)]
        if self._dedicated is not None:
            self._dedicated.retain({key.version for key in keys if key.placement == "dedicated"}, is_all=is_all)

    def close(self) -> None:
        """Ends all processes, at the end of the replica. Blocks until they have ended."""
        for keeper in self._starting.copy():
            keeper.close()  # a model that hangs while it loads is not waited for
        self._opener.shutdown(cancel_futures=True)
        for future in self._opening.values():
            _close_opened(future)
        self._opening = {}
        for lane in self._lanes.values():
            self._leave(lane)
        for executor in self._leaving:
            executor.close()
        self._leaving = []

    def _leave(self, lane: Lane) -> None:
        """Has a lane's process end, but only when nobody has used it for a while: requests that began before the
        snapshot that is coming still hold the lane.
        """
        if isinstance(lane.executor, ProcessExecutor):
            self._leaving.append(lane.executor)

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
            executor, is_batching = self._in_process(key, version)
        else:
            executor, is_batching = self._in_replica(key, version)
        fixed = all(-1 not in spec.shape[1:] for spec in version.manifest.inputs)
        return Lane(key, executor, self._turn, is_batching=is_batching, has_one_likeness=fixed)

    def _in_process(self, key: LaneKey, version: Version) -> tuple[Executor, bool]:
        """Not tried again and again: while a process loads, no other change of any route is seen."""
        manifest, refused_s, sentence = self._refused.get(key, (None, 0.0, ""))
        if manifest == version.manifest and time.monotonic() - refused_s < _RETRY_AFTER_S:
            raise ModelRefused(sentence)
        try:
            return self._started_aside(key, version) if key.is_shadow else self._start_process(key, version)
        except ModelRefused as error:
            if key not in self._opening:
                self._refused[key] = version.manifest, time.monotonic(), str(error)
            raise

    def _started_aside(self, key: LaneKey, version: Version) -> tuple[ProcessExecutor, bool]:
        future = self._opening.get(key)
        if future is None:
            future = self._opening[key] = self._opener.submit(self._start_process, key, version)
        if not future.done():
            raise ModelRefused(f"{version.key} is being started.")
        del self._opening[key]
        return future.result()

    def _start_process(self, key: LaneKey, version: Version) -> tuple[ProcessExecutor, bool]:
        options = self._options.processes
        if options is None:
            raise ModelRefused(f"{version.key} wants a process of its own, which nobody here starts.")
        keeper = Supervisor(version.key, options, _SHADOW_NICE if key.is_shadow else 0)
        self._starting.add(keeper)
        try:
            pace = LatencyModel(*measured_times(Model(keeper.open(), version.manifest.signature)))
        except BaseException:
            keeper.close()
            raise
        finally:
            self._starting.discard(keeper)
        max_rows = version.manifest.max_batch
        return ProcessExecutor(keeper, pace, max_rows=max_rows, hang_after_s=options.hang_after_s), keeper.is_batching

    def _in_replica(self, key: LaneKey, version: Version) -> tuple[Executor, bool]:
        """A shadow gets one thread, and never the event loop: it may become slow or hang from one batch to the next."""
        options = replace(self._options, threads=1, inline_below_s=0.0) if key.is_shadow else self._options
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


def _close_opened(future: Future[tuple[ProcessExecutor, bool]]) -> None:
    """Ends a process that nobody wants any more, if it was started at all."""
    if not future.cancelled() and future.exception() is None:
        future.result()[0].close()


def measured_times(runtime: Runtime) -> tuple[float, int, float]:
    """What one instance takes, and what several (how many) take together: seconds, the least of a few runs, since the
    first ones warm caches.
    """
    names = [spec.name for spec in runtime.signature.outputs]

    def seconds(rows: int) -> float:
        inputs = example_inputs(runtime.signature, rows)
        return min(_timed(lambda: runtime.run(inputs, names)) for _ in range(_RUNS))

    one_s = seconds(1)
    try:
        return one_s, _ROWS, seconds(_ROWS)
    except ModelFailed:  # it takes one, and not so many: what each costs is not known
        return one_s, 1, one_s


def _timed(work: Callable[[], object]) -> float:
    started_s = time.perf_counter()
    work()
    return time.perf_counter() - started_s
