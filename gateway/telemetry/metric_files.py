"""The folder in which the replicas of a machine keep their metrics, one set of files for each seat.

This is the multiprocess mode of prometheus-client. A replica that takes a seat continues the counters of its
predecessor, so they never fall. The number of files is bounded by the number of seats.
"""

import os
from pathlib import Path

import prometheus_client.values
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

_FILE_BYTES = 1 << 20  # the size that prometheus-client begins with as well
_KINDS = ("counter", "histogram", "gauge_livesum", "gauge_liveall", "gauge_livemostrecent", "gauge_max")


class MetricFiles:
    """The files of all seats. From now on, metrics of this process are kept in the files of its seat."""

    def __init__(self, folder: Path, seat: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)  # the only way to tell the library
        mark_process_dead(seat, str(folder))  # removes the predecessor's gauges; its counters stay
        _allocate(folder, seat)
        prometheus_client.values.ValueClass = prometheus_client.values.MultiProcessValue(lambda: seat)

    def collect(self) -> CollectorRegistry:
        """Return a registry with the metrics of all replicas of this machine."""
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self._folder))
        return registry

    def remove_dead(self, live_seats: set[int]) -> None:
        """Remove the gauges of seats that no replica holds."""
        for seat in self._seats() - live_seats:
            mark_process_dead(seat, str(self._folder))

    def _seats(self) -> set[int]:
        """Return the seats that have gauges on file."""
        return {int(path.stem.rpartition("_")[2]) for path in self._folder.glob("gauge_*.db")}


def _allocate(folder: Path, seat: int) -> None:
    """Allocate the space of a seat's files beforehand.

    They are written through memory maps. If the disk is full at that moment, the process is killed.
    """
    for kind in _KINDS:
        descriptor = os.open(folder / f"{kind}_{seat}.db", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, _FILE_BYTES)
        finally:
            os.close(descriptor)
