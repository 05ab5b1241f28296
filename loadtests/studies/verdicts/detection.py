"""Canaries that go from good to bad: the seconds until they have no traffic."""

from collections.abc import Iterator

import numpy as np

from loadtests.studies.verdicts.drawn import LOOK_S, LOOKS_PER_BUCKET, Course, play
from loadtests.studies.verdicts.finding import NEVER, Finding, Floats, Outcome

SUMS_ADDED_S = 0.5
SWAPPED_S = 0.3
MEDIAN_S, SLOWEST_S = 3.0, 6.0
_BAD, _GOOD = 0.5, 0.001
_SHARE = 0.05
_LOOKS_AFTER = 220


def stopped(margin: float, good_s: int, runs: int, rng: np.random.Generator) -> Iterator[Finding]:
    """Yield the seconds until a canary's weight is zero on every replica.

    The canary gets 5 % of the requests. After `good_s` seconds its error rate goes from 0.1 % to 50 %.
    """
    good_looks = round(good_s / LOOK_S)
    # The change may be anywhere between two looks, and anywhere in a bucket.
    change = good_looks + (rng.integers(0, LOOKS_PER_BUCKET, runs) if good_s else np.zeros(runs, dtype=np.int64))
    part = rng.uniform(0, 1, runs) if good_s else np.zeros(runs)

    def rate(look: int) -> Floats:
        return np.where(look > change, _BAD, np.where(look == change, part * _GOOD + (1 - part) * _BAD, _GOOD))

    course = Course(good_looks + _LOOKS_AFTER, margin, lambda _: _SHARE, rate, lambda _: _GOOD)
    seconds = _seconds(play(course, runs, rng, from_look=good_looks), change + part)
    case = f"0.1% to 50%, margin {100 * margin:g}%, after {good_s} s of being good: {{}}, s"
    yield Finding("stopped in seconds", case.format("median"), float(np.median(seconds)), MEDIAN_S)
    yield Finding("stopped in seconds", case.format("95 %"), float(np.quantile(seconds, 0.95)), SLOWEST_S)


def _seconds(outcome: Outcome, change: Floats) -> Floats:
    """Return the seconds from the change to weight zero, of the runs not stopped before. NEVER becomes infinity."""
    looked = np.where(outcome.look == NEVER, np.inf, outcome.look + 1.0)
    return (looked[looked > change] - change[looked > change]) * LOOK_S + SUMS_ADDED_S + SWAPPED_S
