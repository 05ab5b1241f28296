"""Many canaries at once on sticky routes, whose units differ in activity and in rate. Randomness is an argument.

Each run draws its own units: to which arm each goes at which weight, its group, and how often something bad happens to
its requests. Then requests are drawn, a unit by its activity for each. `compare_units` is computed for all runs
together, and only where it reaches the level is `compare` called, too: a verdict needs both.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loadtests.studies.verdicts.finding import NEEDED, NEVER, REQUESTS_PER_S, Floats, Outcome
from router.evidence.evidence import Stratum, compare
from router.evidence.sums import BUCKET_S, GROUP_BUCKET_S, GROUPS
from router.evidence.time_buckets import block_start_s
from router.evidence.units import UnitStratum, compare_units

REQUESTS_PER_BUCKET = REQUESTS_PER_S * BUCKET_S
BUCKETS = 60
"""Ten minutes."""
_POPULARITY = 1 << 18
"""The size of the table from which units are drawn by their activity."""

Rates = npt.NDArray[np.float32]
Draw = Callable[[np.random.Generator, int, int], Rates]


@dataclass(frozen=True)
class Batch:
    """Batch clients: units that send many requests for `busy_buckets` of every `period` buckets.

    Meanwhile, requests of all units are slow with one more probability, `slow`.
    """

    clients: int
    requests_per_bucket: int
    slow: float
    busy_buckets: int = 3
    period: int = 12


@dataclass(frozen=True)
class Users:
    """The users of a route. The busiest one makes k**zipf times as many requests as the k-th.

    `rates` draws their rates of events by run and unit. `worse_by` is what the candidate adds to each. A request that
    fails is sent up to `burst` times in all, and fails each time. `by_night` is the part of the units that are active
    in every second minute only. The others are active in the other minutes, when all rates are `day_factor` times
    theirs. `drift` multiplies all rates, by bucket.
    """

    rates: Draw
    margin: float
    share: Callable[[int], float]
    units: int = 10_000
    zipf: float = 1.0
    worse_by: float = 0.0
    burst: int = 1
    batch: Batch | None = None
    by_night: float = 0.0
    day_factor: float = 1.0
    drift: Callable[[int], float] = lambda _: 1.0


def alike(rate: float) -> Draw:
    """Return rates that are the same for every unit."""
    return lambda _, runs, units: np.full((runs, units), rate, np.float32)


def unlike(high: float = 0.9, low: float = 0.01, part: float = 0.05) -> Draw:
    """Return rates that are high for a part of the units, and low for the others."""
    return lambda rng, runs, units: np.where(rng.random((runs, units), np.float32) < part, high, low).astype(np.float32)


def play(users: Users, runs: int, rng: np.random.Generator, *, worse: bool = True) -> Outcome:
    """Simulate ten minutes of canaries and look after every ten seconds whether they are found worse, or not worse."""
    route = _Route(users, runs, rng)
    reached = np.full(runs, NEVER)
    spent = np.zeros(runs, dtype=np.int64)
    for look in range(BUCKETS):
        requests = route.serve(look)
        spent += np.where(reached == NEVER, requests, 0)
        by_units = route.seen.by_units(users.margin, worse=worse)
        for run in np.flatnonzero((by_units >= NEEDED) & (reached == NEVER)):
            if route.seen.by_requests(int(run), users.margin, worse=worse) >= NEEDED:
                reached[run] = look
    return Outcome(reached, spent)


class Seen:
    """The counts of all runs by stratum, old time buckets merged."""

    def __init__(self) -> None:
        self._strata: dict[tuple[float, int], Floats] = {}
        self._by_group: dict[tuple[float, int], Floats] = {}

    def add(self, share: float, at_s: int, counts: Floats) -> None:
        """Add counts of the shape (runs, 4, groups) of requests that arrived `at_s` seconds after the start."""
        for strata, bucket_s, added in (
            (self._strata, BUCKET_S, counts.sum(axis=-1)),
            (self._by_group, GROUP_BUCKET_S, counts),
        ):
            merged: dict[tuple[float, int], Floats] = {}
            for (of, begins_s), known in [*strata.items(), ((share, at_s // bucket_s * bucket_s), added)]:
                key = of, block_start_s(begins_s, at_s, bucket_s)
                merged[key] = merged[key] + known if key in merged else known
            strata.clear()
            strata.update(merged)

    def by_units(self, margin: float, *, worse: bool = True) -> Floats:
        """Return the evidence by units that the candidate is worse, or not worse, by run."""
        strata = [UnitStratum(share, counts, bucket_s) for (share, bucket_s), counts in self._by_group.items()]
        return np.asarray(compare_units(strata, margin)[0 if worse else 1])

    def by_requests(self, run: int, margin: float, *, worse: bool = True) -> float:
        """Return the same by requests in one run."""
        strata = []
        for (share, bucket_s), counts in self._strata.items():
            requests, events, other_requests, other_events = map(int, counts[run])
            strata.append(Stratum(share, requests, events, other_requests, other_events, bucket_s))
        return compare(strata, margin, by_unit=True)[0 if worse else 1]


class _Route:
    """All runs of one route."""

    def __init__(self, users: Users, runs: int, rng: np.random.Generator) -> None:
        self.seen = Seen()
        self._users = users
        self._rng = rng
        self._rows = np.arange(runs)[:, None]
        shape = runs, users.units
        self._place = rng.random(shape, np.float32)
        self._group = rng.integers(0, GROUPS, shape, np.int8)
        self._is_by_night = rng.random(shape, np.float32) < users.by_night
        self._rates = users.rates(rng, runs, users.units)
        self._popular = by_activity(users.units, users.zipf)

    def serve(self, look: int) -> npt.NDArray[np.int64]:
        """Serve the requests of one bucket. Return how many the candidates got, by run."""
        users, rng, rows = self._users, self._rng, self._rows
        share = users.share(look)
        units = self._popular[rng.integers(0, _POPULARITY, (len(rows), REQUESTS_PER_BUCKET))]
        slow = 0.0
        if users.batch is not None and look % users.batch.period < users.batch.busy_buckets:
            of_batch = np.repeat(np.arange(users.batch.clients), users.batch.requests_per_bucket)
            units = np.concatenate([units, np.broadcast_to(of_batch, (len(rows), of_batch.size))], axis=1)
            slow = users.batch.slow
        rates = np.minimum(self._rates[rows, units] * users.drift(look) + slow, 1)
        is_awake = np.ones(units.shape, bool)
        if users.by_night:
            is_night = look // 6 % 2 == 1
            is_awake = self._is_by_night[rows, units] == is_night
            rates = rates * (1.0 if is_night else users.day_factor)
        is_candidate = self._place[rows, units] < share
        is_event = rng.random(units.shape, np.float32) < rates + users.worse_by * is_candidate
        times = np.where(is_event, rng.integers(1, users.burst + 1, units.shape), 1) * is_awake
        return self._count(share, look, units, is_candidate, is_event, times)

    def _count(
        self,
        share: float,
        look: int,
        units: npt.NDArray[np.int64],
        is_candidate: npt.NDArray[np.bool_],
        is_event: npt.NDArray[np.bool_],
        times: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.int64]:
        runs = len(self._rows)
        cell = self._group[self._rows, units] + GROUPS * self._rows
        counts = np.zeros((runs, 4, GROUPS))
        for kind, is_counted in enumerate(
            (is_candidate, is_candidate & is_event, ~is_candidate, ~is_candidate & is_event)
        ):
            counts[:, kind] = np.bincount(cell[is_counted], weights=times[is_counted], minlength=runs * GROUPS).reshape(
                runs, GROUPS
            )
        self.seen.add(share, look * BUCKET_S, counts)
        return np.asarray(counts[:, 0].sum(axis=-1), dtype=np.int64)


def by_activity(units: int, zipf: float) -> npt.NDArray[np.int64]:
    """Return a table in which each unit stands as often as it makes requests. Unit 0 is the busiest."""
    ends = np.round(np.cumsum(activity(units, zipf)) * _POPULARITY).astype(int)
    return np.repeat(np.arange(units), np.diff(ends, prepend=0))


def activity(units: int, zipf: float) -> Floats:
    """Return each unit's part of all requests."""
    parts = np.arange(1, units + 1, dtype=np.float64) ** -zipf
    return np.asarray(parts / parts.sum(), dtype=np.float64)
