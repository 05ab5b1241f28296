"""The numbers of one process, and where it publishes them. Any process of the machine renders those of all."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from gateway.telemetry.lane_sums import add, sum_lanes
from gateway.telemetry.metric_table import SHED
from gateway.telemetry.published import Labels, LaneSums, Published, TimedRequests, read, read_lanes, write
from gateway.telemetry.statistics import VersionStatistics
from gateway.telemetry.tallies import Tallies, Tally, note
from registry_sync.version import VersionKey


class Metrics:
    """The numbers of the process that is called `process`: the number of its seat, or its role.

    They go on from what the last process of that name has published. `shed` counts the requests that were answered 429.

    Raises:
        OSError: the folder cannot be made.
    """

    def __init__(self, folder: Path, process: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.shed = 0
        self._folder = folder
        self._process = process
        before = read(folder, process)
        self._tallies, self._shadow_tallies = _tallies(before.requests), _tallies(before.shadow_requests)
        self._lanes: dict[VersionKey, VersionStatistics] = sum_lanes([before.lanes])
        self._before = {
            (name, labels): value for name, counters in before.counters.items() for labels, value in counters
        }
        self._totals: dict[tuple[str, Labels], float] = {}
        self._gauges: dict[str, list[tuple[Labels, float]]] = {}

    def count(self, route: str, arm: str, version: str, status: int, duration_s: float) -> None:
        """Note one attempt of an arm. This is on the request path; `publish` does the rest."""
        note(self._tallies, (route, arm, version, status), duration_s)

    def count_shadow(self, route: str, shadow: str, version: str, status: int, duration_s: float) -> None:
        """Note one attempt of a shadow, as `count` does."""
        note(self._shadow_tallies, (route, shadow, version, status), duration_s)

    def count_lane(self, key: VersionKey, added: Mapping[str, float], last_at_s: float) -> None:
        """Add what a version did since the last call, by the fields of `LaneStatistics`."""
        add(self._lanes.setdefault(key, VersionStatistics()), VersionStatistics(**added, last_at_s=last_at_s))

    def set_total(self, name: str, total: float, *labels: str) -> None:
        """Set a counter to what this process has counted since it began."""
        self._totals[name, labels] = total

    def set_gauge(self, name: str, *values: tuple[Labels, float]) -> None:
        """Set all values of a gauge."""
        self._gauges[name] = list(values)

    def publish(self) -> None:
        """Replace the file of this process. One thread at a time calls this and the setters.

        Raises:
            OSError: the folder cannot be written. The next call publishes what this one did not.
        """
        self.set_total(SHED, self.shed)
        counters: dict[str, list[tuple[Labels, float]]] = defaultdict(list)
        for name, labels in self._totals.keys() | self._before.keys():
            value = self._before.get((name, labels), 0.0) + self._totals.get((name, labels), 0.0)
            counters[name].append((labels, value))
        lanes = [LaneSums(*key, sums) for key, sums in self._lanes.items()]
        requests, shadows = list(_requests(self._tallies)), list(_requests(self._shadow_tallies))
        write(
            self._folder,
            self._process,
            Published(requests, shadows, lanes, dict(counters), self._gauges, time.time()),
        )

    def lane_sums(self) -> dict[VersionKey, VersionStatistics]:
        """Return what every version has done, over all replicas of this machine."""
        own = [LaneSums(*key, sums) for key, sums in list(self._lanes.items())]
        return sum_lanes([own, *read_lanes(self._folder, without=self._process)])


def _tallies(requests: list[TimedRequests]) -> Tallies:
    return {(each.route, each.target, each.version, each.status): Tally(each.buckets, each.sum_s) for each in requests}


def _requests(tallies: Tallies) -> Iterator[TimedRequests]:
    for (route, target, version, status), tally in list(tallies.items()):
        yield TimedRequests(route, target, version, status, tally.buckets.copy(), tally.sum_s)
