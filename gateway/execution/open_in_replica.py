"""Opens a lane's executor inside the replica."""

from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from gateway.execution.in_replica import ReplicaExecutor
from gateway.execution.lane import LaneKey
from gateway.execution.latency import LatencyModel, measured_times
from gateway.execution.process.model import ProcessOptions
from gateway.execution.wedged_versions import FOLDER, WedgedVersions
from registry_sync.loader import Loader
from registry_sync.version import Version, VersionState
from runtimes.adapted import adapt
from runtimes.batching import why_unbatched
from runtimes.errors import ModelRefused, StillLoading
from runtimes.runtime import Runtime, found_examples

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LaneOptions:
    """How the lanes of this replica run their batches. `processes` is what placement `process` needs.

    `home` has the versions that never run on the event loop.
    """

    threads: int
    inline_below_s: float
    processes: ProcessOptions | None = None
    home: Path | None = None


def open_in_replica(
    options: LaneOptions, loader: Loader | None, key: LaneKey, version: Version
) -> tuple[ReplicaExecutor, str]:
    """Return an executor, and why requests are never merged.

    A shadow gets one thread and never the event loop: it may become slow or hang from one batch to the next. A version
    that has hung there does not run there.

    Raises:
        StillLoading: it waits for memory.
        ModelRefused: it is not READY, or cannot be loaded here.
    """
    if key.is_shadow:
        options = replace(options, threads=1, inline_below_s=0.0)
    if options.home is not None and WedgedVersions(options.home / FOLDER).holds(key.version):
        _log.warning("gateway.lane.in_threads", version=str(key.version), reason="it has blocked the event loop")
        options = replace(options, inline_below_s=0.0)
    runtime, max_batch = version.runtime, version.manifest.max_batch
    if version.state is not VersionState.READY or (runtime is None and loader is None):
        raise ModelRefused(f"{version.key} is {version.state}, not READY.")
    if runtime is None and loader is not None:
        runtime = _load(loader, key, version.own or version)
    assert runtime is not None  # noqa: S101  # for the type checker
    if version.seen is not None:
        runtime = adapt(runtime, version.manifest.signature)
    because = runtime.unbatched_because
    if not because:
        because = why_unbatched(runtime, max_batch) if version.tried is None else version.tried.unbatched_because
    executor = ReplicaExecutor(
        runtime,
        LatencyModel(*measured_times(runtime, max_batch)),
        threads=options.threads,
        inline_below_s=options.inline_below_s,
        max_rows=max_batch,
        row_by_row=not because,
        examples=found_examples(runtime.signature, version.manifest.signature),
    )
    return executor, because


def _load(loader: Loader, key: LaneKey, version: Version) -> Runtime:
    """Load a version as its own manifest says. Each lane that does so has a runtime of its own."""
    try:
        return loader.load_here(version.key, version.manifest, version.tried, key)
    except StillLoading:
        raise
    except ModelRefused as error:
        raise ModelRefused(f"{version.key}: {error}") from error
