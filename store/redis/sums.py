"""Sums of the traffic in Redis."""

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from router.evidence.sums import ALL_UNITS, BUCKET_S, GroupSums, SumKey, Sums
from store.codec import LARGEST_SUM, clamp, decode, encode_sum_key
from store.counted import BUCKETS_KEPT_S, VERSIONS_READ, Counted
from store.redis.client import Argument
from store.redis.connection import RedisConnection

_DAY_S = 24 * 3600
_TOTALS_KEPT_S = 30 * _DAY_S
_GROUP_TOTALS_KEPT_S = _DAY_S  # after the last addition; 60 kB for each policy version
_SOURCES_KEPT_S = 7 * _DAY_S
_INDEXED = max(VERSIONS_READ, BUCKETS_KEPT_S // BUCKET_S + 1)


class _Hash(NamedTuple):
    """A hash of sums (`key`), the sorted set that lists the hash (`index_key`), and its score there."""

    key: str
    index_key: str
    score: int
    kept_s: int


class RedisSums(RedisConnection):
    """The sums of `store.interface.Store`."""

    def count(self, source: str, before: int, after: int, added: Mapping[str, Sums]) -> int:
        """See `Store.count`."""
        hashes: dict[_Hash, list[Argument]] = {}
        for place, key, value in self._placed(added):
            hashes.setdefault(place, []).extend((encode_sum_key(key), clamp(value)))
        routes = [route for route, sums in added.items() if sums]
        reply = self._write(
            "count",
            [
                self._names.source(source),
                self._names.counted,
                *(key for place in hashes for key in (place.key, place.index_key)),
            ],
            before,
            after,
            _SOURCES_KEPT_S,
            _INDEXED,
            LARGEST_SUM,
            _TOTALS_KEPT_S,
            len(routes),
            *routes,
            *(
                argument
                for place, pairs in hashes.items()
                for argument in (place.score, place.kept_s, len(pairs) // 2, *pairs)
            ),
        )
        return int(reply[1])

    def counted_since(self, number: int) -> Counted:
        """See `Store.counted_since`."""
        newest, since = self._execute_all(
            [
                ("ZREVRANGEBYSCORE", self._names.counted, "+inf", "-inf", "WITHSCORES", "LIMIT", 0, 1),
                ("ZRANGEBYSCORE", self._names.counted, f"({number}", "+inf"),
            ]
        )
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

    def _placed(self, added: Mapping[str, Sums]) -> Iterator[tuple[_Hash, SumKey, int]]:
        """Yield each sum twice, with its hash: for its bucket, and for all time (bucket 0)."""
        for route, sums in added.items():
            for key, value in sums.items():
                yield self._total(route, key), key._replace(bucket_s=0), value
                if key.bucket_s:
                    yield self._bucket(route, key), key, value

    def _total(self, route: str, key: SumKey) -> _Hash:
        names, version = self._names, key.policy_version
        if key.group == ALL_UNITS:
            return _Hash(names.total(route, version), names.totals(route), version, _TOTALS_KEPT_S)
        return _Hash(names.group_total(route, version), names.group_totals(route), version, _GROUP_TOTALS_KEPT_S)

    def _bucket(self, route: str, key: SumKey) -> _Hash:
        names, bucket_s = self._names, key.bucket_s
        if key.group == ALL_UNITS:
            return _Hash(names.bucket(route, bucket_s), names.buckets(route), bucket_s, BUCKETS_KEPT_S)
        return _Hash(names.group_bucket(route, bucket_s), names.group_buckets(route), bucket_s, BUCKETS_KEPT_S)

    def _summed(self, keys: list[str]) -> Sums:
        """Return the sums in several hashes. Leave out a sum that is damaged."""
        return {
            key: clamp(int(value))
            for fields in self._execute_all([("HGETALL", key) for key in keys])
            for field, value in fields.items()
            if (key := decode(field, SumKey)) is not None
        }
