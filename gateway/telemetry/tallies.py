"""Counts and durations, noted on the request path without a lock.

The event loop's thread adds to a tally. Another thread reads it, about once a second. A tally only ever grows, and each
of its numbers is written by one thread. So neither thread needs a lock.
"""

from bisect import bisect_left

BUCKETS_S = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
"""Upper bounds of the buckets that durations are counted in. There is one more bucket without a bound."""

Key = tuple[str, str, str, int]
"""Route, arm or shadow, version, status."""


class Tally:
    """The attempts of one key, by bucket, and the sum of their seconds."""

    __slots__ = ("buckets", "sum_s")

    def __init__(self, buckets: list[int] | None = None, sum_s: float = 0.0) -> None:
        self.buckets = buckets or [0] * (len(BUCKETS_S) + 1)
        self.sum_s = sum_s


Tallies = dict[Key, Tally]


def note(tallies: Tallies, key: Key, duration_s: float) -> None:
    """Count one attempt that took `duration_s`."""
    tally = tallies.get(key)
    if tally is None:
        tally = tallies[key] = Tally()
    tally.sum_s += duration_s
    tally.buckets[bisect_left(BUCKETS_S, duration_s)] += 1
