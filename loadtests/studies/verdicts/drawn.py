"""Many canaries at once on routes whose requests are drawn one by one. Randomness is an argument.

`router.evidence.evidence.compare` decides. Calling it at each look of each run would take long. So NumPy computes, for
all runs together, the e-process of which `compare` never returns more. Only where that reaches the level is `compare`
called.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from loadtests.studies.verdicts.finding import ALPHA, NEVER, REQUESTS_PER_S, Counts, Floats, Outcome
from router.evidence.evidence import Stratum, compare, drawn_scores, pairs, start_weight
from router.evidence.sums import BUCKET_S
from router.evidence.time_buckets import block_start_s

LOOK_S = 0.5
LOOKS_PER_BUCKET = round(BUCKET_S / LOOK_S)


@dataclass(frozen=True)
class Course:
    """The course of a simulation: by look, the candidate's share, its event rate (also by run) and the other's."""

    looks: int
    margin: float
    share: Callable[[int], float]
    rate: Callable[[int], Floats | float]
    other_rate: Callable[[int], float]
    requests_per_look: int = round(REQUESTS_PER_S * LOOK_S)

    def bucket(self, look: int) -> int:
        """Return the time bucket of a look."""
        return look * self.requests_per_look // (REQUESTS_PER_S * BUCKET_S)


def steady(looks: int, margin: float, share: float, rate: float, other_rate: float) -> Course:
    """Return a course on which nothing changes."""
    return Course(looks, margin, lambda _: share, lambda _: rate, lambda _: other_rate)


class Watch:
    """The counts of all runs, and the evidence for one side, "worse" or "not worse"."""

    def __init__(self, runs: int, margin: float, worse: bool) -> None:
        self._margin = margin
        self._worse = worse
        self._log_weights = np.array([pair.log_weight for pair in pairs(margin, worse)])
        self._gathered: Floats = np.zeros((runs, len(self._log_weights)))
        self._at_start: dict[int, Floats] = {}
        self._starts: Floats = self._gathered
        self._strata: dict[tuple[int, float], Counts] = {}
        self._bucket = 0

    def begin_bucket(self, bucket: int) -> None:
        """Begin a bucket. It is a new start, and older starts are merged."""
        self._bucket = bucket
        self._at_start[bucket] = self._gathered
        folded: dict[int, Floats] = {}
        for start in sorted(self._at_start):
            folded.setdefault(self._folded(start), self._at_start[start])
        self._at_start = folded
        self._starts = np.logaddexp.reduce(
            [math.log(start_weight(start)) - gathered for start, gathered in self._at_start.items()], axis=0
        )
        strata: dict[tuple[int, float], Counts] = {}
        for (start, share), counts in self._strata.items():
            key = self._folded(start), share
            strata[key] = strata[key] + counts if key in strata else counts
        self._strata = strata

    def add(self, share: float, counts: Counts) -> None:
        """Add the counts of one look, by run: the candidate's requests and events, and the other arm's."""
        key = self._bucket, share
        self._strata[key] = self._strata[key] + counts if key in self._strata else counts
        requests, events, other_requests, other_events = counts.T
        by_score = np.stack([events, requests - events, other_events, other_requests - other_events], axis=1)
        self._gathered = self._gathered + by_score @ drawn_scores(share, self._margin, self._worse).T

    def at_most(self) -> Floats:
        """Return an upper bound of the log of the e-process, by run."""
        logs: Floats = np.logaddexp.reduce(self._log_weights + self._gathered + self._starts, axis=1)
        return logs

    def evidence(self, run: int) -> float:
        """Return the log of the e-process of one run."""
        strata = []
        for (bucket, share), counts in self._strata.items():
            requests, events, other_requests, other_events = map(int, counts[run])
            strata.append(Stratum(share, requests, events, other_requests, other_events, bucket * BUCKET_S))
        evidence = compare(strata, self._margin)
        return evidence.against if self._worse else evidence.in_favour

    def _folded(self, bucket: int) -> int:
        return block_start_s(bucket * BUCKET_S, self._bucket * BUCKET_S) // BUCKET_S


def play(
    course: Course,
    runs: int,
    rng: np.random.Generator,
    *,
    alpha: float = ALPHA,
    worse: bool = True,
    from_look: int = 0,
    candidates: int = 1,
) -> Outcome:
    """Simulate a course `runs` times. The level cannot be reached before `from_look`.

    Several `candidates` are alike, have the same weight, and are held against one trusted arm. `share` is that of one
    of them beside the trusted arm. A run counts as soon as one candidate reaches its part of alpha.
    """
    needed = -math.log(alpha / candidates)
    watch = Watch(runs * candidates, course.margin, worse)
    reached = np.full(runs, NEVER)
    spent = np.zeros(runs, dtype=np.int64)
    for look in range(course.looks):
        if look == 0 or course.bucket(look) > course.bucket(look - 1):
            watch.begin_bucket(course.bucket(look))
        share = course.share(look)
        of_one = share / (1 - share + candidates * share)
        drawn = rng.multinomial(course.requests_per_look, [of_one] * candidates + [1 - candidates * of_one], size=runs)
        requests = drawn[:, :candidates]
        other_requests = drawn[:, candidates:]
        rate = np.asarray(course.rate(look))
        events = rng.binomial(requests, rate[:, None] if rate.ndim else rate)
        other_events = rng.binomial(other_requests, course.other_rate(look))
        counts = np.stack(np.broadcast_arrays(requests, events, other_requests, other_events), axis=-1)
        watch.add(share, counts.reshape(runs * candidates, 4))
        open_runs = reached == NEVER
        spent += np.where(open_runs, requests.sum(axis=1), 0)
        if look < from_look:
            continue
        for row in np.flatnonzero(np.repeat(open_runs, candidates) & (watch.at_most() >= needed)):
            if watch.evidence(int(row)) >= needed:
                reached[row // candidates] = look
        if (reached != NEVER).all():
            break
    return Outcome(reached, spent)
