"""What a contextual bandit knows of its arms: sums of old time buckets together, and newer ones apart.

Levels of reward (`levels.py`) are found for the newer buckets. A bucket that has become old joins the sums of the
others with its level subtracted: r becomes r - level, in whole millionths, so that sums stay integers and exact. What
is discounted is rounded to integers, which forgets at most half a unit of each sum in each step.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bandits.errors import BanditError
from bandits.estimates.discount import share_left
from bandits.linear.context import SCALE
from bandits.linear.levels import with_levels
from bandits.linear.model import LinearModel
from bandits.linear.solve import Bucket, solve
from bandits.linear.sums import MILLION, LinearSum, combine, from_integers, integers_of, nothing


class History(NamedTuple):
    """The sums of each arm over buckets up to the one that begins at `newest_s`, which is None without any."""

    arms: tuple[str, ...]
    size: int
    newest_s: int | None
    sums: tuple[LinearSum, ...]

    @staticmethod
    def empty(arms: Sequence[str], size: int) -> "History":
        """Return the history of arms of which nothing is known."""
        return History(tuple(arms), size, None, tuple(nothing(size) for _ in arms))

    def with_arms(self, arms: Sequence[str], reset: Sequence[str]) -> "History":
        """Return the history of these arms. Of new ones, and of those in `reset`, nothing is known."""
        known = {arm: each for arm, each in zip(self.arms, self.sums, strict=True) if arm not in reset}
        return History(tuple(arms), self.size, self.newest_s, tuple(known.get(arm, nothing(self.size)) for arm in arms))


class Seen(NamedTuple):
    """The sums of each arm over one time bucket, which begins at `begins_s`."""

    begins_s: int
    sums: tuple[LinearSum, ...]


class Levelled(NamedTuple):
    """A history, and newer buckets with their levels, oldest first. Make it with `levelled`.

    `bases` are the sums of the history, and `buckets` the newer ones of each arm, all with their weights.
    """

    history: History
    newer: Sequence[Seen]
    half_life_s: float | None
    bases: Sequence[Bucket]
    buckets: Sequence[Sequence[Bucket]]


def levelled(history: History, newer: Sequence[Seen], half_life_s: float | None) -> Levelled:
    """Return what is known and newer buckets, oldest first, with the levels of reward in these."""
    newest_s = newer[-1].begins_s if newer else history.newest_s or 0
    age_s = 0 if history.newest_s is None else newest_s - history.newest_s
    bases = [Bucket(known, share_left(age_s, half_life_s)) for known in history.sums]
    arms = [
        [Bucket(seen.sums[arm], share_left(newest_s - seen.begins_s, half_life_s)) for seen in newer]
        for arm in range(len(history.arms))
    ]
    buckets = with_levels(arms, history.size, bases=bases) if newer else arms
    return Levelled(history, newer, half_life_s, bases, buckets)


def models(known: Levelled) -> tuple[LinearModel, ...]:
    """Return the model of each arm."""
    size = known.history.size
    return tuple(solve([base, *buckets], size) for base, buckets in zip(known.bases, known.buckets, strict=True))


def advanced(known: Levelled, until_s: int) -> History:
    """Return the history with the newer buckets that begin at `until_s` or before."""
    history, half_life_s = known.history, known.half_life_s
    old = [seen for seen in known.newer if seen.begins_s <= until_s]
    if not old:
        return history
    newest_s, sums = old[-1].begins_s, []
    for before, buckets in zip(history.sums, known.buckets, strict=True):
        age_s = 0 if history.newest_s is None else newest_s - history.newest_s
        parts = [_scaled(before, share_left(age_s, half_life_s))]
        for seen, bucket in zip(old, buckets, strict=False):
            parts.append(_scaled(_without_level(bucket), share_left(newest_s - seen.begins_s, half_life_s)))
        sums.append(combine(parts, history.size))
    return History(history.arms, history.size, newest_s, tuple(sums))


def to_json(history: History) -> dict[str, Any]:
    """Return a form that JSON can hold."""
    return {
        "arms": list(history.arms),
        "size": history.size,
        "newest_s": history.newest_s,
        "sums": [list(integers_of(each)) for each in history.sums],
    }


def from_json(raw: Mapping[str, Any]) -> History:
    """Read a history back.

    Raises:
        BanditError: it is none.
    """
    try:
        size = int(raw["size"])
        sums = tuple(from_integers(each, size) for each in raw["sums"])
        newest_s = None if raw["newest_s"] is None else int(raw["newest_s"])
        return History(tuple(map(str, raw["arms"])), size, newest_s, sums)
    except (KeyError, TypeError, ValueError) as error:
        raise BanditError(f"What a contextual bandit knows cannot be read: {error!r}.") from error


def _without_level(bucket: Bucket) -> LinearSum:
    """Return the sums of a bucket with its level subtracted from each reward."""
    sums, level = bucket.sums, round(bucket.level * MILLION)
    # The first products are x times the intercept, which is SCALE.
    of_level = [level * (product // SCALE) for product in sums.products[: sums.size]]
    rewarded = tuple(whole - part for whole, part in zip(sums.rewarded, of_level, strict=True))
    squares = sums.squares - (2 * level * sums.total - level * level * sums.decisions) // MILLION
    return sums._replace(rewarded=rewarded, total=sums.total - level * sums.decisions, squares=squares)


def _scaled(sums: LinearSum, share: float) -> LinearSum:
    if share == 1.0:
        return sums
    return from_integers([round(each * share) for each in integers_of(sums)], sums.size)
