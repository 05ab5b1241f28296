"""What a process publishes of itself: its numbers, in a file that it replaces about once a second.

The files of one folder belong to the processes of one machine: one for each seat, and one for the companion. The next
holder of a seat begins with the counters of its predecessor, so counters never fall. Gauges end with their process.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
import structlog

from gateway.telemetry.statistics import VersionStatistics

_log = structlog.get_logger()

_SUFFIX = ".numbers"

Labels = tuple[str, ...]
"""The values of a metric's labels, in the order of their names in `gateway.telemetry.metric_table`."""


class TimedRequests(msgspec.Struct, frozen=True):
    """The attempts of one route, arm or shadow, version and status, by bucket, and the sum of their seconds."""

    route: str
    target: str
    version: str
    status: int
    buckets: list[int]
    sum_s: float


class LaneSums(msgspec.Struct, frozen=True):
    """The statistics of one model version."""

    model: str
    version: str
    digest: str
    sums: VersionStatistics


class Published(msgspec.Struct, frozen=True):
    """The numbers of one process. Counters and gauges are by the name of their metric."""

    requests: list[TimedRequests] = []
    shadow_requests: list[TimedRequests] = []
    lanes: list[LaneSums] = []
    counters: dict[str, list[tuple[Labels, float]]] = {}
    gauges: dict[str, list[tuple[Labels, float]]] = {}
    at_s: float = 0.0
    """When they were published, in seconds since the epoch."""


def write(folder: Path, process: str, published: Published) -> None:
    """Replace the file of a process.

    Raises:
        OSError: the folder cannot be written.
    """
    fresh = folder / f".{process}"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, msgspec.msgpack.encode(published))
    finally:
        os.close(descriptor)
    fresh.rename(folder / f"{process}{_SUFFIX}")


def read(folder: Path, process: str) -> Published:
    """Return what a process has published last; nothing if its file is missing or damaged."""
    try:
        return msgspec.msgpack.decode((folder / f"{process}{_SUFFIX}").read_bytes(), type=Published)
    except FileNotFoundError:
        return Published()
    except (OSError, msgspec.DecodeError) as error:
        _log.warning("gateway.metrics.unreadable", process=process, error=str(error))
        return Published()


def read_all(folder: Path) -> Mapping[str, Published]:
    """Return what each process has published last, those that have ended included."""
    return {path.stem: read(folder, path.stem) for path in sorted(folder.glob(f"[!.]*{_SUFFIX}"))}
