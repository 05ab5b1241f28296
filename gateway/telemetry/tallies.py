"""Counts and durations, noted on the request path without a lock.

The event loop's thread adds to a tally. Another thread takes what was added and moves it to the Prometheus metrics,
several times a second. A tally only ever grows, and each of its numbers is written by one thread. So neither thread
needs a lock.
"""

from bisect import bisect_left
from collections.abc import Iterator

BUCKETS_S = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
"""Upper bounds of the buckets that durations are counted in. There is one more bucket without a bound."""

Key = tuple[str, str, str, int]
"""Route, arm or shadow, version, status."""


class Tally:
    """The attempts of one key, by bucket, and the sum of their seconds."""

    __slots__ = ("_taken", "_taken_s", "buckets", "sum_s")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BUCKETS_S) + 1)
        self.sum_s = 0.0
        self._taken = self.buckets.copy()
        self._taken_s = 0.0

    def take(self) -> tuple[list[int], float]:
        """Return the attempts by bucket and the sum of their seconds since the last call."""
        now, now_s = self.buckets.copy(), self.sum_s
        added = [count - before for count, before in zip(now, self._taken, strict=True)]
        added_s = now_s - self._taken_s
        self._taken, self._taken_s = now, now_s
        return added, added_s


Tallies = dict[Key, Tally]


def note(tallies: Tallies, key: Key, duration_s: float) -> None:
    """Count one attempt that took `duration_s`."""
    tally = tallies.get(key)
    if tally is None:
        tally = tallies[key] = Tally()
    tally.sum_s += duration_s
    tally.buckets[bisect_left(BUCKETS_S, duration_s)] += 1


def take(tallies: Tallies) -> Iterator[tuple[Key, list[int], float]]:
    """Yield what was noted since the last call: a key, its attempts by bucket, and the sum of their seconds."""
    for key, tally in list(tallies.items()):
        added, added_s = tally.take()
        if any(added):
            yield key, added, added_s
