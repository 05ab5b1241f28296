"""Sums of the traffic in a SQLite file."""

import json
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from router.evidence.sums import ALL_UNITS, GroupSums, SumKey, Sums
from store.codec import LARGEST_SUM, clamp
from store.counted import BUCKETS_KEPT_S, VERSIONS_READ, Counted
from store.rewarded import NO_REWARDS, Rewarded
from store.sqlite.rewards import SQLiteRewards, add_rewards, delete_old_reward_sums

_ENDS = "SELECT source, ends FROM sources WHERE source IN (SELECT value FROM json_each(?))"
_NOTE_COUNTED = "INSERT OR REPLACE INTO counted SELECT ?, 1 + COALESCE((SELECT MAX(number) FROM counted), 0)"
# The sums by group of one policy version take some 40 kB, and a bandit may write thousands of versions a day.
_DELETE_OLD_GROUPS = """
DELETE FROM group_sums WHERE route = ?1 AND bucket_s = 0 AND policy_version <= (
    SELECT MAX(policy_version) FROM group_sums WHERE route = ?1 AND bucket_s = 0
) - ?2
"""
_DELETE_EVERY_S = 60.0

_Row = tuple[str | int, ...]


class _Table:
    """The statements on one of the two tables. `columns` are those of a sum's key."""

    def __init__(self, name: str, columns: tuple[str, ...]) -> None:
        selected, marks = ", ".join(columns), ", ".join("?" for _ in columns)
        # SQLite turns an integer that overflows into a real number. MIN and MAX then replace it by the largest sum.
        self.add = f"""
        INSERT INTO {name} (route, {selected}, value) VALUES (?, {marks}, ?)
        ON CONFLICT DO UPDATE SET value = MAX({-LARGEST_SUM}, MIN({LARGEST_SUM}, value + excluded.value))
        """  # noqa: S608  # built from constants of this file
        self.totals = f"""
        SELECT {selected}, value FROM {name} WHERE route = ? AND bucket_s = 0 AND policy_version >= ?
        AND policy_version IN (
            SELECT DISTINCT policy_version FROM {name} WHERE route = ? AND bucket_s = 0
            ORDER BY policy_version DESC LIMIT ?
        )
        """  # noqa: S608  # as above
        self.recent = f"""
        SELECT {selected}, value FROM {name} WHERE route = ? AND bucket_s >= ? AND policy_version >= ?
        """  # noqa: S608  # as above
        self.delete = f"DELETE FROM {name} WHERE bucket_s BETWEEN 1 AND ?"  # noqa: S608  # as above


_KEY = SumKey._fields[:-1]
_SUMS = _Table("sums", _KEY)
_GROUP_SUMS = _Table("group_sums", (*_KEY, "unit_group"))


class SQLiteSums(SQLiteRewards):
    """The sums of `store.interface.Store`. `now` returns the seconds since the epoch."""

    def __init__(self, path: Path, busy_timeout_s: float, now: Callable[[], float]) -> None:
        super().__init__(path, busy_timeout_s, now)
        self._last_deletion_s = 0.0

    def count(
        self, source: str, before: int, after: int, added: Mapping[str, Sums], rewarded: Rewarded = NO_REWARDS
    ) -> int:
        """See `Store.count`."""
        return self.count_all({source: (before, after)}, added, rewarded)[source]

    def count_all(
        self, ranges: Mapping[str, tuple[int, int]], added: Mapping[str, Sums], rewarded: Rewarded = NO_REWARDS
    ) -> Mapping[str, int]:
        """See `Store.count_all`."""
        with self._transaction() as connection:
            ends = _ends(connection, ranges)
            if any(ends[source] != before for source, (before, _) in ranges.items()):
                return ends
            reached = {source: after for source, (_, after) in ranges.items()}
            connection.executemany("INSERT OR REPLACE INTO sources VALUES (?, ?)", reached.items())
            connection.executemany(_SUMS.add, _rows(added))
            connection.executemany(_GROUP_SUMS.add, _group_rows(added))
            now_s = self._now()
            add_rewards(connection, rewarded, now_s)
            counted = {route for sums in (added, rewarded.sums) for route, of_route in sums.items() if of_route}
            connection.executemany(_NOTE_COUNTED, [(route,) for route in counted])
            self._delete_old_buckets(connection, now_s)
            return reached

    def counted_since(self, number: int, among: Collection[str] | None = None) -> Counted:
        """See `Store.counted_since`."""
        newest = self._query_number("SELECT COALESCE(MAX(number), 0) FROM counted")  # first: more may come meanwhile
        rows = self._query("SELECT route FROM counted WHERE number > ?", number)
        return Counted(newest, frozenset(route for (route,) in rows if among is None or route in among))

    def counted(self, source: str) -> int:
        """See `Store.counted`."""
        return self._query_number("SELECT ends FROM sources WHERE source = ?", source)

    def counted_each(self, sources: Collection[str]) -> Mapping[str, int]:
        """See `Store.counted_each`."""
        rows = self._query(_ENDS, json.dumps(list(sources)))
        return dict.fromkeys(sources, 0) | {source: int(ends) for source, ends in rows}

    def advance(self, ranges: Mapping[str, tuple[int, int]]) -> Mapping[str, int]:
        """See `Store.advance`."""
        with self._transaction() as connection:
            ends = _ends(connection, ranges)
            moved = {source: after for source, (before, after) in ranges.items() if ends[source] == before}
            connection.executemany("INSERT OR REPLACE INTO sources VALUES (?, ?)", moved.items())
            return ends | moved

    def forget_source(self, source: str) -> None:
        """See `Store.forget_source`."""
        self._query("DELETE FROM sources WHERE source = ?", source)

    def sums(self, route: str, since_version: int) -> Sums:
        """See `Store.sums`."""
        return _sums(self._query(_SUMS.totals, route, since_version, route, VERSIONS_READ))

    def recent_sums(self, route: str, since_s: int) -> Sums:
        """See `Store.recent_sums`."""
        return _sums(self._query(_SUMS.recent, route, max(1, since_s), 0))

    def group_sums(self, route: str, since_version: int, since_s: int) -> GroupSums:
        """See `Store.group_sums`."""
        recent = self._query(_GROUP_SUMS.recent, route, max(1, since_s), since_version)
        return GroupSums(
            totals=_sums(self._query(_GROUP_SUMS.totals, route, since_version, route, VERSIONS_READ)),
            recent=_sums(recent),  # was read first
        )

    def _delete_old_buckets(self, connection: sqlite3.Connection, now_s: float) -> None:
        """Delete the buckets, and the groups of policy versions, that are no longer kept, once a minute at most."""
        if now_s - self._last_deletion_s >= _DELETE_EVERY_S:
            self._last_deletion_s = now_s
            delete_old_reward_sums(connection, now_s)
            for table in (_SUMS, _GROUP_SUMS):
                connection.execute(table.delete, (now_s - BUCKETS_KEPT_S,))
            routes = connection.execute("SELECT route FROM counted").fetchall()
            connection.executemany(_DELETE_OLD_GROUPS, [(route, VERSIONS_READ) for (route,) in routes])


def _ends(connection: sqlite3.Connection, sources: Collection[str]) -> dict[str, int]:
    """Return where the counted part of each source ends."""
    found = connection.execute(_ENDS, (json.dumps(list(sources)),)).fetchall()
    return dict.fromkeys(sources, 0) | {source: int(ends) for source, ends in found}


def _rows(added: Mapping[str, Sums]) -> Iterator[_Row]:
    """Yield each sum of all units twice: for its bucket, and for all time (bucket 0)."""
    for route, sums in added.items():
        for key, value in sums.items():
            if key.group == ALL_UNITS:
                yield (route, *key[:-1], clamp(value))
                if key.bucket_s:
                    yield (route, 0, *key[1:-1], clamp(value))


def _group_rows(added: Mapping[str, Sums]) -> Iterator[_Row]:
    """Yield each sum of a group of units twice, as above."""
    for route, sums in added.items():
        for key, value in sums.items():
            if key.group != ALL_UNITS:
                yield (route, *key, clamp(value))
                if key.bucket_s:
                    yield (route, 0, *key[1:], clamp(value))


def _sums(rows: list[tuple[str, ...]]) -> Sums:
    return {
        SumKey(int(bucket_s), int(policy), arm, version, against, name, beside, *map(int, group)): int(value)
        for bucket_s, policy, arm, version, against, name, beside, *group, value in rows
    }
