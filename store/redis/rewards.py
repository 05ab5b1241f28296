"""Sums of rewards, and outcomes of decisions, in Redis.

A sum of rewards has a field for each of its integers. The field's name begins with the integer's letter (`_LETTERS`).
"""

from collections.abc import Iterator, Mapping, Sequence

from router.rewards.buckets import BUCKETS_KEPT, LENGTHS_S
from router.rewards.outcomes import DecisionKey
from router.rewards.sums import NO_GROUP, RewardKey, RewardSum, RewardSums
from store.codec import clamp, decode, encode_sum_key
from store.counted import VERSIONS_READ
from store.interface import ReadRewards
from store.redis.connection import RedisConnection
from store.redis.key_names import KeyNames
from store.redis.sum_hash import SumHash

_TOTALS_KEPT_S = 120 * 24 * 3600
"""How long the sums of a policy version are kept after the last reward: longer than any window."""
_LETTERS = "".join(field[0] for field in RewardSum._fields)
_READ_AT_ONCE = 1000


class RedisRewards(RedisConnection):
    """The sums of rewards, and the outcomes, of `store.interface.Store`."""

    def outcomes(self, keys: Sequence[DecisionKey]) -> Sequence[bytes]:
        """See `Store.outcomes`."""
        found: list[bytes] = []
        for at in range(0, len(keys), _READ_AT_ONCE):
            names = map(self._names.outcome, keys[at : at + _READ_AT_ONCE])
            found += (content or b"" for content in self._execute_undecoded("MGET", *names))
        return found

    def reward_sums(self, route: str, since_version: int, since_s: int, *, by_group: bool = False) -> ReadRewards:
        """See `Store.reward_sums`."""
        indexes = [self._names.reward_buckets(route, length_s, by_group=by_group) for length_s in LENGTHS_S]
        recent = self._rewards(indexes, since_s)  # first, so that totals have it
        return ReadRewards(
            totals=self._rewards([self._names.reward_totals(route, by_group=by_group)], since_version),
            recent={key: value for key, value in recent.items() if key.policy_version >= since_version},
        )

    def _rewards(self, indexes: Sequence[str], since: int) -> RewardSums:
        """Return the sums in the hashes that the indexes list from the score `since` on."""
        listed = self._execute_all([("ZRANGEBYSCORE", index, since, "+inf") for index in indexes])
        stems = map(self._names.stem, indexes)
        hashes = [f"{stem}{score}" for stem, scores in zip(stems, listed, strict=True) for score in scores]
        found: dict[RewardKey, RewardSum] = {}
        for fields in self._execute_all([("HGETALL", name) for name in hashes]):
            found |= _sums(fields)
        return found


def place_rewards(names: KeyNames, added: Mapping[str, RewardSums]) -> Iterator[tuple[SumHash, str, str]]:
    """Yield the integers of each sum twice, with their hash and key: for its bucket, and for all time (bucket 0)."""
    places: dict[tuple[str, bool, int, int], SumHash] = {}
    for route, sums in added.items():
        for key, value in sums.items():
            if any(value):
                integers = " ".join([str(clamp(each)) for each in value])
                for bucket_s in {0, key.bucket_s}:
                    score = bucket_s or key.policy_version
                    wanted = (route, key.group != NO_GROUP, key.length_s if bucket_s else 0, score)
                    place = places.get(wanted) or places.setdefault(wanted, _place(names, *wanted))
                    yield place, encode_sum_key(key._replace(bucket_s=bucket_s)), integers


def _place(names: KeyNames, route: str, by_group: bool, length_s: int, score: int) -> SumHash:
    """Return the hash of a time bucket or, without a length, that of a policy version."""
    if length_s:
        index, listed, kept_s = (
            names.reward_buckets(route, length_s, by_group=by_group),
            BUCKETS_KEPT,
            BUCKETS_KEPT * length_s,
        )
    else:
        index, listed, kept_s = names.reward_totals(route, by_group=by_group), VERSIONS_READ, _TOTALS_KEPT_S
    stem = names.stem(index)
    return SumHash(f"{stem}{score}", index, score, listed, kept_s, stem, _LETTERS)


def _sums(fields: Mapping[str, str]) -> RewardSums:
    """Return the sums in a hash. Leave out a sum of which anything is damaged."""
    values: dict[str, dict[str, str]] = {}
    for field, value in fields.items():
        values.setdefault(field[1:], {})[field[:1]] = value
    found = {}
    for text, integers in values.items():
        key = decode(text, RewardKey)
        if key is None or not set(integers) <= set(_LETTERS):
            continue
        try:
            found[key] = RewardSum(*(clamp(int(integers.get(letter, 0))) for letter in _LETTERS))
        except ValueError:  # no integer
            continue
    return found
