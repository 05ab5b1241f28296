"""A simulation of many canaries at once that notes when a guardrail triggers. Randomness is an argument.

`router.evidence.evidence.compare` decides. Calling it at each look of each run would take long. So NumPy computes, for
all runs together, the evidence that it would return if it relied on the draw. That is never less. Only where it
reaches the level is `compare` called.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from router.evidence.evidence import Stratum, compare, pairs, scores, start_weight
from router.evidence.sums import BUCKET_S
from router.evidence.time_buckets import block_start_s

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

LOOK_S = 0.5
LOOKS_PER_BUCKET = round(BUCKET_S / LOOK_S)
NEVER = -1


@dataclass(frozen=True)
class Course:
    """The course of a simulation: by look, the candidate's share, its event rate (also by run) and the others'.

    The share is that of the weights. On a route whose units are drawn, the candidate's units make `busy` times as many
    requests as others.
    """

    looks: int
    margin: float
    share: Callable[[int], float]
    rate: Callable[[int], Floats | float]
    other_rate: Callable[[int], float]
    requests_per_look: int = 100
    busy: float | None = None


class Watch:
    """The counts of all runs, and the evidence for one side, "worse" or "not worse"."""

    def __init__(self, runs: int, margin: float, worse: bool, *, by_unit: bool = False) -> None:
        self._margin = margin
        self._worse = worse
        self._by_unit = by_unit
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
        self._at_start = {start: self._at_start[start] for start in {self._folded(start) for start in self._at_start}}
        self._starts = np.logaddexp.reduce(
            [math.log(start_weight(start)) - gathered for start, gathered in self._at_start.items()], axis=0
        )
        strata: dict[tuple[int, float], Counts] = {}
        for (start, share), counts in self._strata.items():
            key = self._folded(start), share
            strata[key] = strata[key] + counts if key in strata else counts
        self._strata = strata

    def add(self, share: float, counts: Counts, *, drawn: float) -> None:
        """Add the counts of one look, by run: the candidate's requests and events, and the others'.

        `share` is the candidate's share of the weights, `drawn` its share of the requests.
        """
        key = self._bucket, share
        self._strata[key] = self._strata[key] + counts if key in self._strata else counts
        requests, events, other_requests, other_events = counts.T
        by_score = np.stack([events, requests - events, other_events, other_requests - other_events], axis=1)
        self._gathered = self._gathered + by_score @ np.array(scores(drawn, self._margin, self._worse)).T

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
        evidence = compare(strata, self._margin, by_unit=self._by_unit)
        return evidence.against if self._worse else evidence.in_favour

    def _folded(self, bucket: int) -> int:
        return block_start_s(bucket * BUCKET_S, self._bucket * BUCKET_S) // BUCKET_S


@dataclass(frozen=True)
class Outcome:
    """By run, the look at which the level was first reached, or NEVER, and the candidate's requests until then."""

    look: Counts
    requests: Counts


def play(
    course: Course, runs: int, alpha: float, rng: np.random.Generator, *, worse: bool = True, from_look: int = 0
) -> Outcome:
    """Simulate a course `runs` times. The level cannot be reached before `from_look`."""
    needed = -math.log(alpha)
    watch = Watch(runs, course.margin, worse, by_unit=course.busy is not None)
    reached = np.full(runs, NEVER)
    spent = np.zeros(runs, dtype=np.int64)
    for look in range(course.looks):
        if look % LOOKS_PER_BUCKET == 0:
            watch.begin_bucket(look // LOOKS_PER_BUCKET)
        share = course.share(look)
        busy = 1.0 if course.busy is None else course.busy
        drawn = share * busy / (1 - share + share * busy)
        requests = rng.binomial(course.requests_per_look, drawn, runs)
        other_requests = course.requests_per_look - requests
        events = rng.binomial(requests, course.rate(look))
        other_events = rng.binomial(other_requests, course.other_rate(look))
        watch.add(share, np.stack([requests, events, other_requests, other_events], axis=1), drawn=drawn)
        open_runs = reached == NEVER
        spent += np.where(open_runs, requests, 0)
        if look < from_look:
            continue
        for run in np.flatnonzero(open_runs & (watch.at_most() >= needed)):
            if watch.evidence(int(run)) >= needed:
                reached[run] = look
        if (reached != NEVER).all():
            break
    return Outcome(reached, spent)
