"""What a process publishes of itself: its numbers, in a file that it replaces about once a second.

The files of one folder belong to the processes of one machine: one for each seat, and one for the companion. The next
holder of a seat begins with the counters of its predecessor, so counters never fall. Gauges end with their process.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import structlog

from gateway.telemetry.statistics import VersionStatistics
from gateway.telemetry.tallies import BUCKETS_S

_log = structlog.get_logger()

_SUFFIX = ".numbers"

Labels = tuple[str, ...]
"""The values of a metric's labels, in the order of their names in `gateway.telemetry.metric_table`."""


Buckets = Annotated[list[int], msgspec.Meta(min_length=len(BUCKETS_S) + 1, max_length=len(BUCKETS_S) + 1)]


class TimedRequests(msgspec.Struct, frozen=True):
    """The attempts of one route, arm or shadow, version and status, by bucket, and the sum of their seconds."""

    route: str
    target: str
    version: str
    status: int
    buckets: Buckets
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


class _Lanes(msgspec.Struct, frozen=True):
    lanes: list[LaneSums] = []


T = TypeVar("T", Published, _Lanes)


def write(folder: Path, process: str, published: Published) -> None:
    """Replace the file of a process.

    Raises:
        OSError: the folder cannot be written.
    """
    fresh = folder / f".{process}"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:  # which writes all of it, or raises
        file.write(msgspec.msgpack.encode(published))
    fresh.rename(folder / f"{process}{_SUFFIX}")


def read(folder: Path, process: str) -> Published:
    """Return what a process has published last; nothing if its file is missing, damaged or of another release."""
    return _read(folder / f"{process}{_SUFFIX}", Published)


def read_all(folder: Path) -> Mapping[str, Published]:
    """Return what each process has published last, those that have ended included."""
    return {path.stem: _read(path, Published) for path in _files(folder)}


def read_lanes(folder: Path, *, without: str) -> Sequence[Sequence[LaneSums]]:
    """Return the statistics of model versions of each process but one. The rest is not decoded."""
    return [_read(path, _Lanes).lanes for path in _files(folder) if path.stem != without]


def _files(folder: Path) -> Sequence[Path]:
    return sorted(folder.glob(f"[!.]*{_SUFFIX}"))


def _read(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return kind()
    except (OSError, msgspec.DecodeError) as error:
        _log.warning("gateway.metrics.unreadable", path=path.name, error=str(error))
        return kind()
