"""What traffic adds up to, in Redis. Acts."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from router.evidence.sums import BUCKET_S, SumKey, Sums
from store.codec import LARGEST_SUM, clamped, decode, encode
from store.interface import BUCKETS_KEPT_S, VERSIONS_READ
from store.redis.client import Word
from store.redis.connection import RedisConnection

_DAY_S = 24 * 3600
_TOTALS_KEPT_S = 30 * _DAY_S
_SOURCES_KEPT_S = 7 * _DAY_S
_INDEXED = max(VERSIONS_READ, BUCKETS_KEPT_S // BUCKET_S + 1)


class _Group(NamedTuple):
    """Sums that are kept together, the index that lists them (`listing`), and their place in it."""

    key: str
    listing: str
    place: int
    kept_s: int


class RedisSums(RedisConnection):
    """The part of `store.interface.Store` that is about sums."""

    def count(self, source: str, before: int, after: int, added: Mapping[str, Sums]) -> int:
        """See `Store.count`."""
        groups: dict[_Group, list[Word]] = {}
        for group, key, value in self._grouped(added):
            groups.setdefault(group, []).extend((encode(key), clamped(value)))
        answer = self._write(
            "count",
            [self._keys.source(source), *(key for group in groups for key in (group.key, group.listing))],
            before,
            after,
            _SOURCES_KEPT_S,
            _INDEXED,
            LARGEST_SUM,
            *(word for group, words in groups.items() for word in (group.place, group.kept_s, len(words) // 2, *words)),
        )
        return int(answer[1])

    def counted(self, source: str) -> int:
        """See `Store.counted`."""
        return int(self._ask("GET", self._keys.source(source)) or 0)

    def forget_source(self, source: str) -> None:
        """See `Store.forget_source`."""
        self._ask("DEL", self._keys.source(source))

    def sums(self, route: str, since_version: int) -> Sums:
        """See `Store.sums`."""
        index = self._keys.totals(route)
        versions = self._ask("ZREVRANGEBYSCORE", index, "+inf", since_version, "LIMIT", 0, VERSIONS_READ)
        return self._summed([self._keys.total(route, version) for version in versions])

    def recent_sums(self, route: str, since_s: int) -> Sums:
        """See `Store.recent_sums`."""
        buckets = self._ask("ZRANGEBYSCORE", self._keys.buckets(route), since_s, "+inf")
        return self._summed([self._keys.bucket(route, bucket_s) for bucket_s in buckets])

    def _grouped(self, added: Mapping[str, Sums]) -> Iterator[tuple[_Group, SumKey, int]]:
        """Each sum twice: in its bucket, and over all time."""
        names = self._keys
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
        """What is in several hashes; a sum that is damaged is left out."""
        return {
            key: clamped(int(value))
            for fields in self._ask_all([("HGETALL", key) for key in keys])
            for field, value in fields.items()
            if (key := decode(field, SumKey)) is not None
        }
