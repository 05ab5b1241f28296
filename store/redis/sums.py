"""Sums of the traffic in Redis."""

from collections.abc import Collection, Iterator, Mapping
from itertools import chain

import msgspec

from router.evidence.sums import ALL_UNITS, BUCKET_S, GroupSums, SumKey, Sums
from router.rewards.outcomes import KEPT_AT_LEAST_S
from store.codec import LARGEST_SUM, clamp, decode, encode_sum_key
from store.counted import BUCKETS_KEPT_S, VERSIONS_READ, Counted
from store.errors import OutcomesChanged
from store.redis.client import Argument
from store.redis.rewards import RedisRewards, place_contexts, place_rewards
from store.redis.sum_hash import SumHash
from store.rewarded import NO_REWARDS, Rewarded

_DAY_S = 24 * 3600
_TOTALS_KEPT_S = 30 * _DAY_S
_GROUP_TOTALS_KEPT_S = _DAY_S  # after the last addition; 60 kB for each policy version
_SOURCES_KEPT_S = 7 * _DAY_S
_pack = msgspec.msgpack.Encoder().encode
_BUCKETS_LISTED = BUCKETS_KEPT_S // BUCKET_S + 1


class RedisSums(RedisRewards):
    """The sums of `store.interface.Store`."""

    def count(
        self, source: str, before: int, after: int, added: Mapping[str, Sums], rewarded: Rewarded = NO_REWARDS
    ) -> int:
        """See `Store.count`."""
        return self.count_all({source: (before, after)}, added, rewarded)[source]

    def count_all(
        self, ranges: Mapping[str, tuple[int, int]], added: Mapping[str, Sums], rewarded: Rewarded = NO_REWARDS
    ) -> Mapping[str, int]:
        """See `Store.count_all`."""
        hashes: dict[SumHash, list[str]] = {}
        for place, field, value in chain(
            self._placed(added),
            place_rewards(self._names, rewarded.sums),
            place_contexts(self._names, rewarded.contexts),
        ):
            hashes.setdefault(place, []).extend((field, value))
        routes = {route for sums in (added, rewarded.sums) for route, of_route in sums.items() if of_route}
        reply = self._write(
            "count",
            [
                self._names.counted,
                *map(self._names.source, ranges),
                *(self._names.outcome(change.key) for change in rewarded.outcomes),
                *(key for place in hashes for key in (place.key, place.index_key)),
            ],
            _pack([str(number) for each in ranges.values() for number in each]),
            len(ranges),
            _SOURCES_KEPT_S,
            _TOTALS_KEPT_S,
            LARGEST_SUM,
            KEPT_AT_LEAST_S,
            _pack(list(routes)),
            _pack([n for each in rewarded.outcomes for n in (len(each.before), len(each.after), each.kept_until_s)]),
            b"".join([content for each in rewarded.outcomes for content in (each.before, each.after)]),
            _pack([value for place, sums in hashes.items() for value in (*place[2:], len(sums) // 2, *sums)]),
        )
        if reply[0] == "changed":
            raise OutcomesChanged("The outcomes of a decision have changed since they were read.")
        return dict(zip(ranges, map(int, reply[1:]), strict=True))

    def counted_since(self, number: int, among: Collection[str] | None = None) -> Counted:
        """See `Store.counted_since`."""
        counted, asked = self._names.counted, list(among or ())
        commands: list[tuple[Argument, ...]] = [
            ("ZREVRANGEBYSCORE", counted, "+inf", "-inf", "WITHSCORES", "LIMIT", 0, 1)
        ]
        if among is None:
            commands.append(("ZRANGEBYSCORE", counted, f"({number}", "+inf"))
        elif asked:
            commands.append(("ZMSCORE", counted, *asked))
        newest, *found = self._execute_all(commands)
        since = found[0] if found else []
        if among is not None:
            since = [route for route, score in zip(asked, since, strict=True) if score and float(score) > number]
        return Counted(int(float(newest[1])) if newest else 0, frozenset(since))

    def counted(self, source: str) -> int:
        """See `Store.counted`."""
        return int(self._execute("GET", self._names.source(source)) or 0)

    def counted_each(self, sources: Collection[str]) -> Mapping[str, int]:
        """See `Store.counted_each`."""
        if not sources:
            return {}
        ends = self._execute("MGET", *map(self._names.source, sources))
        return {source: int(end or 0) for source, end in zip(sources, ends, strict=True)}

    def advance(self, ranges: Mapping[str, tuple[int, int]]) -> Mapping[str, int]:
        """See `Store.advance`."""
        if not ranges:
            return {}
        pairs = (number for each in ranges.values() for number in each)
        reply = self._write("advance", list(map(self._names.source, ranges)), _SOURCES_KEPT_S, *pairs)
        return dict(zip(ranges, map(int, reply[1:]), strict=True))

    def forget_source(self, source: str) -> None:
        """See `Store.forget_source`."""
        self._execute("DEL", self._names.source(source))

    def sums(self, route: str, since_version: int) -> Sums:
        """See `Store.sums`."""
        versions = self._versions(self._names.totals(route), since_version)
        return self._summed([self._names.total(route, version) for version in versions])

    def recent_sums(self, route: str, since_s: int) -> Sums:
        """See `Store.recent_sums`."""
        buckets = self._execute("ZRANGEBYSCORE", self._names.buckets(route), since_s, "+inf")
        return self._summed([self._names.bucket(route, bucket_s) for bucket_s in buckets])

    def group_sums(self, route: str, since_version: int, since_s: int) -> GroupSums:
        """See `Store.group_sums`."""
        names = self._names
        buckets = self._execute("ZRANGEBYSCORE", names.group_buckets(route), since_s, "+inf")
        recent = self._summed([names.group_bucket(route, bucket_s) for bucket_s in buckets])
        versions = self._versions(names.group_totals(route), since_version)
        return GroupSums(
            totals=self._summed([names.group_total(route, version) for version in versions]),
            recent={key: value for key, value in recent.items() if key.policy_version >= since_version},
        )

    def _versions(self, index: str, since_version: int) -> list[str]:
        """Return the newest policy versions in an index."""
        found: list[str] = self._execute("ZREVRANGEBYSCORE", index, "+inf", since_version, "LIMIT", 0, VERSIONS_READ)
        return found

    def _placed(self, added: Mapping[str, Sums]) -> Iterator[tuple[SumHash, str, str]]:
        """Yield each sum twice, with its hash: for its bucket, and for all time (bucket 0)."""
        for route, sums in added.items():
            for key, value in sums.items():
                text = str(clamp(value))
                yield self._total(route, key), encode_sum_key(key._replace(bucket_s=0)), text
                if key.bucket_s:
                    yield self._bucket(route, key), encode_sum_key(key), text

    def _total(self, route: str, key: SumKey) -> SumHash:
        names, version = self._names, key.policy_version
        if key.group == ALL_UNITS:
            return SumHash(names.total(route, version), names.totals(route), version, VERSIONS_READ, _TOTALS_KEPT_S)
        return SumHash(
            names.group_total(route, version),
            names.group_totals(route),
            version,
            VERSIONS_READ,
            _GROUP_TOTALS_KEPT_S,
        )

    def _bucket(self, route: str, key: SumKey) -> SumHash:
        names, bucket_s = self._names, key.bucket_s
        if key.group == ALL_UNITS:
            hash_key, index_key = names.bucket(route, bucket_s), names.buckets(route)
        else:
            hash_key, index_key = names.group_bucket(route, bucket_s), names.group_buckets(route)
        return SumHash(hash_key, index_key, bucket_s, _BUCKETS_LISTED, BUCKETS_KEPT_S)

    def _summed(self, keys: list[str]) -> Sums:
        """Return the sums in several hashes. Leave out a sum that is damaged."""
        return {
            key: clamp(int(value))
            for fields in self._execute_all([("HGETALL", key) for key in keys])
            for field, value in fields.items()
            if (key := decode(field, SumKey)) is not None
        }
