"""Canaries that are worse than allowed: how many of their requests it takes to find them."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from loadtests.studies.verdicts import drawn
from loadtests.studies.verdicts.drawn import steady
from loadtests.studies.verdicts.finding import NEEDED, NEVER, REQUESTS_PER_S, Finding, Floats, growth
from loadtests.studies.verdicts.units import Seen, activity
from router.evidence.sums import GROUPS

BASE_RATES = (0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
FACTORS = (1.5, 2, 3, 10)
SHARES = (0.01, 0.05, 0.5)
MARGINS = (0.0, 0.01)
TIMES_THEORY_DRAWN, TIMES_THEORY_UNITS = 2.0, 4.0
_LOOKS_PER_THEORY = 24
_PATIENCE = 12
"""How many times the theory's sample size is waited for."""
_UNITS = 10_000
FOUND = "found, in times the theory's requests"
NEVER_FOUND = f"not found in {_PATIENCE} times the theory's requests"


class Worse(NamedTuple):
    """A canary that is worse than allowed."""

    rate: float
    other_rate: float
    share: float
    margin: float

    def __str__(self) -> str:
        return (
            f"{100 * self.rate:g}% beside {100 * self.other_rate:g}%, margin {100 * self.margin:g}%, "
            f"share {100 * self.share:g}%"
        )

    @property
    def theory(self) -> float:
        """The candidate's requests that a test needs if it knows both rates."""
        return NEEDED / growth(self.share, self.margin, self.rate, self.other_rate)


def cases() -> Iterator[Worse]:
    """Yield every case of the table."""
    for base in BASE_RATES:
        for factor in FACTORS:
            for share in SHARES:
                for margin in MARGINS:
                    if base * factor < 1 and base * factor > base + margin + 1e-9:
                        yield Worse(base * factor, base, share, margin)


def of_drawn_requests(runs: int, rng: np.random.Generator) -> Iterator[Finding]:
    """Yield the candidate's requests until it is found, as multiples of the theory's: the median of the runs."""
    for worse in cases():
        course = steady(_LOOKS_PER_THEORY * _PATIENCE, worse.margin, worse.share, worse.rate, worse.other_rate)
        per_look = max(round(worse.theory / worse.share / _LOOKS_PER_THEORY), 1)
        outcome = drawn.play(replace(course, requests_per_look=per_look), runs, rng)
        spent = np.where(outcome.look == NEVER, math.inf, outcome.requests)
        yield Finding(FOUND, f"drawn: {worse}", float(np.median(spent)) / worse.theory, TIMES_THEORY_DRAWN)


def of_units(runs: int, zipf: float, rng: np.random.Generator) -> Iterator[Finding]:
    """Yield the same on a sticky route with 10,000 units that are alike but for their activity."""
    for worse in cases():
        times = _until_found(worse, runs, zipf, rng) / worse.theory
        case = f"{_UNITS} units, Zipf {zipf:g}: {worse}"
        yield Finding(FOUND, case, float(np.median(times)), TIMES_THEORY_UNITS)
        yield Finding(NEVER_FOUND, case, float(np.isinf(times).mean()), 0.0)


def _until_found(worse: Worse, runs: int, zipf: float, rng: np.random.Generator) -> Floats:
    """Return the candidate's requests until it was found, by run; infinity if it was not."""
    per_look = max(worse.theory / worse.share / _LOOKS_PER_THEORY, 4)
    parts = _parts(worse.share, runs, zipf, rng)
    rates = np.array([worse.rate, worse.other_rate])[:, None]
    seen, spent, found = Seen(), np.zeros(runs), np.full(runs, np.inf)
    for look in range(_LOOKS_PER_THEORY * _PATIENCE):
        requests = rng.poisson(per_look * parts)
        events = rng.binomial(requests, rates)
        counts = np.stack([requests[:, 0], events[:, 0], requests[:, 1], events[:, 1]], axis=1).astype(float)
        seen.add(worse.share, int(look * per_look / REQUESTS_PER_S), counts)
        spent += requests[:, 0].sum(axis=-1)
        by_units = seen.by_units(worse.margin)
        for run in np.flatnonzero((by_units >= NEEDED) & np.isinf(found)):
            if seen.by_requests(int(run), worse.margin) >= NEEDED:
                found[run] = spent[run]
        if np.isfinite(found).all():
            break
    return found


def _parts(share: float, runs: int, zipf: float, rng: np.random.Generator) -> Floats:
    """Return the part of all requests that each arm and group gets, of the shape (runs, 2, groups)."""
    shape = runs, _UNITS
    arms = rng.random(shape) >= share
    cells = (np.arange(runs)[:, None] * 2 + arms) * GROUPS + rng.integers(0, GROUPS, shape)
    weights = np.broadcast_to(activity(_UNITS, zipf), shape)
    parts: Floats = np.bincount(cells.ravel(), weights.ravel(), runs * 2 * GROUPS).astype(np.float64)
    return parts.reshape(runs, 2, GROUPS)
