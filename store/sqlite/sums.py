"""Sums of the traffic in a SQLite file."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from router.evidence.sums import SumKey, Sums
from store.codec import LARGEST_SUM, clamp
from store.interface import BUCKETS_KEPT_S, VERSIONS_READ, Counted
from store.sqlite.connection import SQLiteConnection

_COLUMNS = ", ".join(SumKey._fields)
# SQLite turns an integer that overflows into a real number. MIN and MAX then replace it by the largest sum.
_ADD = f"""
INSERT INTO sums (route, {_COLUMNS}, value) VALUES (?, {", ".join("?" for _ in SumKey._fields)}, ?)
ON CONFLICT DO UPDATE SET value = MAX({-LARGEST_SUM}, MIN({LARGEST_SUM}, value + excluded.value))
"""  # noqa: S608  # built from constants of this file
_TOTALS = f"""
SELECT {_COLUMNS}, value FROM sums WHERE route = ? AND bucket_s = 0 AND policy_version >= ?
AND policy_version IN (
    SELECT DISTINCT policy_version FROM sums WHERE route = ? AND bucket_s = 0 ORDER BY policy_version DESC LIMIT ?
)
"""  # noqa: S608  # built from constants of this file
_RECENT = f"SELECT {_COLUMNS}, value FROM sums WHERE route = ? AND bucket_s >= ?"  # noqa: S608  # as above
_NOTE_COUNTED = "INSERT OR REPLACE INTO counted SELECT ?, 1 + COALESCE((SELECT MAX(number) FROM counted), 0)"
_DELETE_EVERY_S = 60.0


class SQLiteSums(SQLiteConnection):
    """The sums of `store.interface.Store`. `now` returns the seconds since the epoch."""

    def __init__(self, path: Path, busy_timeout_s: float, now: Callable[[], float]) -> None:
        super().__init__(path, busy_timeout_s)
        self._now = now
        self._last_deletion_s = 0.0

    def count(self, source: str, before: int, after: int, added: Mapping[str, Sums]) -> int:
        """See `Store.count`."""
        with self._transaction() as connection:
            row = connection.execute("SELECT ends FROM sources WHERE source = ?", (source,)).fetchone()
            ends = 0 if row is None else int(row[0])
            if ends != before:
                return ends
            connection.execute("INSERT OR REPLACE INTO sources VALUES (?, ?)", (source, after))
            connection.executemany(_ADD, _rows(added))
            connection.executemany(_NOTE_COUNTED, [(route,) for route, sums in added.items() if sums])
            self._delete_old_buckets(connection)
            return after

    def counted_since(self, number: int) -> Counted:
        """See `Store.counted_since`."""
        rows = self._query("SELECT number, route FROM counted WHERE number > ?", number)
        newest = max((int(each) for each, _ in rows), default=0)
        return Counted(
            newest or self._query_number("SELECT COALESCE(MAX(number), 0) FROM counted"),
            frozenset(route for _, route in rows),
        )

    def counted(self, source: str) -> int:
        """See `Store.counted`."""
        return self._query_number("SELECT ends FROM sources WHERE source = ?", source)

    def forget_source(self, source: str) -> None:
        """See `Store.forget_source`."""
        self._query("DELETE FROM sources WHERE source = ?", source)

    def sums(self, route: str, since_version: int) -> Sums:
        """See `Store.sums`."""
        return _sums(self._query(_TOTALS, route, since_version, route, VERSIONS_READ))

    def recent_sums(self, route: str, since_s: int) -> Sums:
        """See `Store.recent_sums`."""
        return _sums(self._query(_RECENT, route, max(1, since_s)))

    def _delete_old_buckets(self, connection: sqlite3.Connection) -> None:
        """Delete the buckets that are no longer kept, once a minute at most."""
        now_s = self._now()
        if now_s - self._last_deletion_s >= _DELETE_EVERY_S:
            self._last_deletion_s = now_s
            connection.execute("DELETE FROM sums WHERE bucket_s BETWEEN 1 AND ?", (now_s - BUCKETS_KEPT_S,))


def _rows(added: Mapping[str, Sums]) -> Iterator[tuple[str | int, ...]]:
    """Yield each sum twice: for its bucket, and for all time (bucket 0)."""
    for route, sums in added.items():
        for key, value in sums.items():
            yield (route, *key, clamp(value))
            if key.bucket_s:
                yield (route, *key._replace(bucket_s=0), clamp(value))


def _sums(rows: list[tuple[str, ...]]) -> Sums:
    return {SumKey(int(b), int(v), *names): int(value) for b, v, *names, value in rows}
