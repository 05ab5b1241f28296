"""Sums of rewards, and outcomes of decisions, in Redis. The integers of a sum are in one field, in order."""

from collections.abc import Iterator, Mapping, Sequence

from router.rewards.buckets import BUCKETS_KEPT, LENGTHS_S
from router.rewards.outcomes import DecisionKey
from router.rewards.sums import NO_GROUP, ContextSums, RewardKey, RewardSum, RewardSums, with_totals
from store.codec import decode, decode_integers, encode_integers, encode_sum_key
from store.counted import VERSIONS_READ
from store.redis.connection import RedisConnection
from store.redis.key_names import KeyNames
from store.redis.sum_hash import SumHash
from store.rewarded import ReadRewards

_TOTALS_KEPT_S = 120 * 24 * 3600
"""How long the sums of a policy version are kept after the last reward: longer than any window."""
_INTEGERS = len(RewardSum._fields)
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

    def context_sums(self, route: str, since_version: int, since_s: int) -> ContextSums:
        """See `Store.context_sums`."""
        found = {}
        for fields in self._listed([self._names.context_buckets(route, length_s) for length_s in LENGTHS_S], since_s):
            for text, values in fields.items():
                key, integers = decode(text, RewardKey), decode_integers(values)
                if key is not None and integers is not None and key.policy_version >= since_version:
                    found[key] = integers
        return found

    def _rewards(self, indexes: Sequence[str], since: int) -> RewardSums:
        """Return the sums in the hashes that the indexes list from the score `since` on."""
        found: dict[RewardKey, RewardSum] = {}
        for fields in self._listed(indexes, since):
            found |= _sums(fields)
        return found

    def _listed(self, indexes: Sequence[str], since: int) -> list[dict[str, str]]:
        """Return the hashes that the indexes list from the score `since` on."""
        listed = self._execute_all([("ZRANGEBYSCORE", index, since, "+inf") for index in indexes])
        stems = map(self._names.stem, indexes)
        hashes = [f"{stem}{score}" for stem, scores in zip(stems, listed, strict=True) for score in scores]
        return self._execute_all([("HGETALL", name) for name in hashes])


def place_contexts(names: KeyNames, added: Mapping[str, ContextSums]) -> Iterator[tuple[SumHash, str, str]]:
    """Yield the integers from which contextual bandits learn, with their hash and key."""
    for route, sums in added.items():
        for key, integers in sums.items():
            index = names.context_buckets(route, key.length_s)
            stem = names.stem(index)
            place = SumHash(
                f"{stem}{key.bucket_s}",
                index,
                key.bucket_s,
                BUCKETS_KEPT,
                BUCKETS_KEPT * key.length_s,
                stem,
                len(integers),
            )
            yield place, encode_sum_key(key), encode_integers(integers)


def place_rewards(names: KeyNames, added: Mapping[str, RewardSums]) -> Iterator[tuple[SumHash, str, str]]:
    """Yield the integers of each sum with their hash and key, also of those over all time (bucket 0)."""
    places: dict[tuple[str, bool, int, int], SumHash] = {}
    for route, sums in added.items():
        for key, value in with_totals(sums).items():
            length_s, score = (key.length_s, key.bucket_s) if key.bucket_s else (0, key.policy_version)
            wanted = (route, key.group != NO_GROUP, length_s, score)
            place = places.get(wanted) or places.setdefault(wanted, _place(names, *wanted))
            yield place, encode_sum_key(key), encode_integers(value)


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
    return SumHash(f"{stem}{score}", index, score, listed, kept_s, stem, _INTEGERS)


def _sums(fields: Mapping[str, str]) -> RewardSums:
    """Return the sums in a hash. Leave out a sum of which anything is damaged."""
    found = {}
    for text, values in fields.items():
        key = decode(text, RewardKey)
        integers = decode_integers(values)
        if key is not None and integers is not None and len(integers) == _INTEGERS:
            found[key] = RewardSum(*integers)
    return found
