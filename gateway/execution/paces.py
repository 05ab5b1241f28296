"""How long a version takes for the requests of each route, and which requests are refused on account of that.

The routes that share a version may send it requests that take a different time: longer texts, larger images. So each
route has an estimate of its own, which follows the runs of its own requests and begins with what was measured when the
version was loaded. What another route's requests took refuses none of this route's.

An estimate may be wrong for a request all the same, because requests of one route differ, too. So it may refuse only
`MOST_REFUSED` requests in a row. The next one is tried, whatever the estimate says. So it is measured, and if it misses
its deadline, that is known and not foretold. A run that takes less than half of what was expected shows that the
estimate is wrong. Then the next request is tried, too.
"""

from collections.abc import Iterable

from gateway.execution.executor import Executor
from gateway.execution.latency import LatencyModel

MOST_REFUSED = 9
"""So many requests of a route may be refused in a row: at least one in ten is tried."""


class Pace:
    """The estimate for one route on one version, in one replica.

    `worked_s` is for how long the version has worked for the route (`gateway.execution.work`).
    """

    __slots__ = ("_latency", "_refused", "worked_s")

    def __init__(self, latency: LatencyModel) -> None:
        self._latency = latency
        self._refused = 0
        self.worked_s = 0.0

    def expected_s(self, rows: int) -> float:
        """Return the seconds that a run of `rows` instances is expected to take."""
        return self._latency.expected_s(rows)

    def refuses(self, rows: int, left_s: float) -> bool:
        """Return True if a request that has `left_s` seconds left is refused. A refusal lowers the estimate."""
        if left_s <= 0:
            return True
        if left_s >= self._latency.expected_s(rows):
            return False
        if self._refused >= MOST_REFUSED:
            self._refused = 0
            return False
        self._refused += 1
        self._latency.lower()
        return True

    def observe(self, rows: int, duration_s: float) -> None:
        """Adjust the estimate to a run in which a request of the route took part."""
        if 2 * duration_s < self._latency.expected_s(rows):
            self._refused = MOST_REFUSED
        self._latency.observe(rows, duration_s)


class Paces:
    """The paces of one version, by route. Its executor knows what was measured when the version was loaded."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._paces: dict[str, Pace] = {}

    def of(self, route: str) -> Pace:
        """Return the pace of a route."""
        pace = self._paces.get(route)
        if pace is None:
            pace = self._paces[route] = Pace(self._executor.latency.afresh())
        return pace


def observe(paces: Iterable[Pace], rows: int, duration_s: float) -> None:
    """Adjust the paces of the requests that shared one run of `rows` instances, each pace once."""
    for pace in set(paces):
        pace.observe(rows, duration_s)
