"""Where sums are kept in Redis: hashes, and the sorted sets that list them."""

from typing import NamedTuple


class SumHash(NamedTuple):
    """A hash of sums (`key`), the sorted set that lists the hash (`index_key`), and its score there.

    The sorted set lists the `listed` hashes with the highest scores. Both keys are kept for `kept_s` after the last
    addition. A hash that is no longer listed is deleted if there is a `stem`: what the hash's key has before its score.
    A sum is one integer or, with `letters`, one for each letter, with which the name of its field begins.
    """

    key: str
    index_key: str
    score: int
    listed: int
    kept_s: int
    stem: str = ""
    letters: str = ""
