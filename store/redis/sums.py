"""Sums of the traffic in Redis."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from router.evidence.sums import BUCKET_S, SumKey, Sums
from store.codec import LARGEST_SUM, clamp, decode, encode
from store.interface import BUCKETS_KEPT_S, VERSIONS_READ, Counted
from store.redis.client import Argument
from store.redis.connection import RedisConnection

_DAY_S = 24 * 3600
_TOTALS_KEPT_S = 30 * _DAY_S
_SOURCES_KEPT_S = 7 * _DAY_S
_INDEXED = max(VERSIONS_READ, BUCKETS_KEPT_S // BUCKET_S + 1)


class _Group(NamedTuple):
    """The sums in one hash (`key`), the sorted set that lists the hash (`index_key`), and its score there."""

    key: str
    index_key: str
    score: int
    kept_s: int


class RedisSums(RedisConnection):
    """The sums of `store.interface.Store`."""

    def count(self, source: str, before: int, after: int, added: Mapping[str, Sums]) -> int:
        """See `Store.count`."""
        groups: dict[_Group, list[Argument]] = {}
        for group, key, value in self._grouped(added):
            groups.setdefault(group, []).extend((encode(key), clamp(value)))
        routes = [route for route, sums in added.items() if sums]
        reply = self._write(
            "count",
            [
                self._names.source(source),
                self._names.counted,
                *(key for group in groups for key in (group.key, group.index_key)),
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
                for group, pairs in groups.items()
                for argument in (group.score, group.kept_s, len(pairs) // 2, *pairs)
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

    def forget_source(self, source: str) -> None:
        """See `Store.forget_source`."""
        self._execute("DEL", self._names.source(source))

    def sums(self, route: str, since_version: int) -> Sums:
        """See `Store.sums`."""
        index = self._names.totals(route)
        versions = self._execute("ZREVRANGEBYSCORE", index, "+inf", since_version, "LIMIT", 0, VERSIONS_READ)
        return self._summed([self._names.total(route, version) for version in versions])

    def recent_sums(self, route: str, since_s: int) -> Sums:
        """See `Store.recent_sums`."""
        buckets = self._execute("ZRANGEBYSCORE", self._names.buckets(route), since_s, "+inf")
        return self._summed([self._names.bucket(route, bucket_s) for bucket_s in buckets])

    def _grouped(self, added: Mapping[str, Sums]) -> Iterator[tuple[_Group, SumKey, int]]:
        """Yield each sum twice: for its bucket, and for all time (bucket 0)."""
        names = self._names
        for route, sums in added.items():
            for key, value in sums.items():
                version, bucket_s = key.policy_version, key.bucket_s
                total = _Group(names.total(route, version), names.totals(route), version, _TOTALS_KEPT_S)
                yield total, key._replace(bucket_s=0), value
                if bucket_s:
                    yield (
                        _Group(names.bucket(route, bucket_s), names.buckets(route), bucket_s, BUCKETS_KEPT_S),
                        key,
                        value,
                    )

    def _summed(self, keys: list[str]) -> Sums:
        """Return the sums in several hashes. Leave out a sum that is damaged."""
        return {
            key: clamp(int(value))
            for fields in self._execute_all([("HGETALL", key) for key in keys])
            for field, value in fields.items()
            if (key := decode(field, SumKey)) is not None
        }
