"""The lanes of one replica, by version and placement. Acts, in the refresh thread.

A version's lane outlives snapshots: what has been measured of it, what waits before it and what its breaker knows stay
as long as any route uses it.
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Protocol

from gateway.executor import Executor, InReplica
from gateway.lane import Lane, LaneKey
from gateway.pace import Pace
from gateway.statistics import LaneStatistics
from gateway.turn import Turn
from registry_sync.catalogue import Version, VersionKey
from runtimes.batching import is_batchable
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.manifest import Manifest, Placement
from runtimes.runtime import Runtime, example_inputs

_RUNS = 3
_ROWS = 16
_NOTHING: Mapping[str, float] = asdict(LaneStatistics())


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
    """How lanes of this process run their batches."""

    threads: int
    inline_below_s: float


class Lanes:
    """One per replica, used by one thread; the lanes themselves belong to the event loop."""

    def __init__(self, turn: Turn, options: LaneOptions, dedicated: Dedicated | None) -> None:
        self._turn = turn
        self._options = options
        self._dedicated = dedicated
        self._lanes: dict[LaneKey, Lane] = {}
        self._manifests: dict[LaneKey, Manifest] = {}
        self._published: dict[LaneKey, Mapping[str, float]] = {}

    def lane(self, version: Version, placement: Placement) -> Lane:
        """The lane of a version, opened if it is not, or if what its manifest says has changed.

        Raises:
            ModelRefused: a dedicated version cannot be served, or not yet.
        """
        key = LaneKey(version.key, placement)
        lane = self._lanes.get(key)
        if lane is None or self._manifests[key] != version.manifest:
            lane = self._lanes[key] = self._open(version, placement)
            self._manifests[key] = version.manifest
            self._published.pop(key, None)
        return lane

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
        self._lanes = {key: lane for key, lane in self._lanes.items() if key in keys}
        self._manifests = {key: manifest for key, manifest in self._manifests.items() if key in keys}
        self._published = {key: sums for key, sums in self._published.items() if key in keys}
        if self._dedicated is not None:
            self._dedicated.retain({key.version for key in keys if key.placement == "dedicated"}, is_all=is_all)

    def _open(self, version: Version, placement: Placement) -> Lane:
        executor: Executor
        if placement == "dedicated":
            if self._dedicated is None:
                raise ModelRefused(
                    f"{version.key} wants an application of its own, which only the engine ray can give it; "
                    "serve it with placement: replica, or start with --engine ray."
                )
            executor, is_batching = self._dedicated.open(version)
        else:
            executor, is_batching = self._in_replica(version)
        fixed = all(-1 not in spec.shape[1:] for spec in version.manifest.inputs)
        key = LaneKey(version.key, placement)
        return Lane(key, executor, self._turn, is_batching=is_batching, has_one_likeness=fixed)

    def _in_replica(self, version: Version) -> tuple[Executor, bool]:
        if version.runtime is None:
            raise ModelRefused(f"{version.key} is {version.state}, not READY.")
        is_batching = version.manifest.max_batch > 1 and is_batchable(version.runtime)
        executor = InReplica(
            version.runtime,
            Pace(*measured_times(version.runtime)),
            threads=self._options.threads,
            inline_below_s=self._options.inline_below_s,
            max_rows=version.manifest.max_batch,
            row_by_row=is_batching,
        )
        return executor, is_batching


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
