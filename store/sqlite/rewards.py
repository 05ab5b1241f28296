"""Sums of rewards, and outcomes of decisions, in a SQLite file."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence

from router.rewards.buckets import BUCKETS_KEPT
from router.rewards.outcomes import DecisionKey
from router.rewards.sums import NO_GROUP, RewardKey, RewardSum, RewardSums
from store.codec import LARGEST_SUM, clamp
from store.counted import VERSIONS_READ
from store.errors import OutcomesChanged
from store.interface import ReadRewards, Rewarded
from store.sqlite.connection import SQLiteConnection

_KEY = ("bucket_s", "length_s", "policy_version", "arm", "model_version", "metric", "unit_group")
_VALUES = ("decisions", "rewarded", "total", "squares")
_COLUMNS = ", ".join((*_KEY, *_VALUES))
_MARKS = ", ".join("?" for _ in (*_KEY, *_VALUES))
# SQLite turns an integer that overflows into a real number. MIN and MAX then replace it by the largest sum.
_GROWN = ", ".join(f"{name} = MAX({-LARGEST_SUM}, MIN({LARGEST_SUM}, {name} + excluded.{name}))" for name in _VALUES)
_ADD = f"INSERT INTO reward_sums (route, {_COLUMNS}) VALUES (?, {_MARKS}) ON CONFLICT DO UPDATE SET {_GROWN}"  # noqa: S608  # built from constants of this file
_OF_GROUPS = f"(unit_group != {NO_GROUP}) = ?"
_TOTALS = f"""
SELECT {_COLUMNS} FROM reward_sums WHERE route = ? AND bucket_s = 0 AND policy_version >= ? AND {_OF_GROUPS}
AND policy_version IN (
    SELECT DISTINCT policy_version FROM reward_sums WHERE route = ? AND bucket_s = 0
    ORDER BY policy_version DESC LIMIT ?
)
"""  # noqa: S608  # as above
_RECENT = f"""
SELECT {_COLUMNS} FROM reward_sums WHERE route = ? AND bucket_s >= ? AND policy_version >= ? AND {_OF_GROUPS}
"""  # noqa: S608  # as above
_DELETE_OLD = f"DELETE FROM reward_sums WHERE bucket_s > 0 AND bucket_s < ? - {BUCKETS_KEPT} * length_s"  # noqa: S608  # as above
_OUTCOME = "SELECT content FROM outcomes WHERE route = ? AND declared_us = ? AND decision_id = ?"


class SQLiteRewards(SQLiteConnection):
    """The sums of rewards, and the outcomes, of `store.interface.Store`."""

    def outcomes(self, keys: Sequence[DecisionKey]) -> Sequence[bytes]:
        """See `Store.outcomes`."""
        with self._transaction() as connection:
            return [_outcome(connection, key) for key in keys]

    def reward_sums(self, route: str, since_version: int, since_s: int, *, by_group: bool = False) -> ReadRewards:
        """See `Store.reward_sums`."""
        recent = self._query(_RECENT, route, max(1, since_s), since_version, by_group)  # first, so that totals have it
        return ReadRewards(
            totals=_sums(self._query(_TOTALS, route, since_version, by_group, route, VERSIONS_READ)),
            recent=_sums(recent),
        )


def add_rewards(connection: sqlite3.Connection, rewarded: Rewarded) -> None:
    """Add to the sums of rewards and replace outcomes, in a transaction.

    Raises:
        OutcomesChanged: an outcome is not what was read.
    """
    for change in rewarded.outcomes:
        if _outcome(connection, change.key) != change.before:
            raise OutcomesChanged(f"The outcomes of decision {change.key.decision_id} have changed.")
    connection.executemany(
        "INSERT OR REPLACE INTO outcomes VALUES (?, ?, ?, ?, ?)",
        [(*change.key, change.after, change.kept_until_s) for change in rewarded.outcomes],
    )
    connection.executemany(_ADD, _rows(rewarded.sums))


def delete_old_rewards(connection: sqlite3.Connection, now_s: float) -> None:
    """Delete the buckets, and the outcomes, that are no longer kept."""
    connection.execute(_DELETE_OLD, (now_s,))
    connection.execute("DELETE FROM outcomes WHERE kept_until_s < ?", (now_s,))


def _outcome(connection: sqlite3.Connection, key: DecisionKey) -> bytes:
    row = connection.execute(_OUTCOME, key).fetchone()
    return b"" if row is None else bytes(row[0])


def _rows(added: Mapping[str, RewardSums]) -> Iterator[tuple[str | int, ...]]:
    """Yield each sum twice: for its bucket, and for all time (bucket 0)."""
    for route, sums in added.items():
        for key, value in sums.items():
            yield (route, *key, *map(clamp, value))
            if key.bucket_s:
                yield (route, 0, *key[1:], *map(clamp, value))


def _sums(rows: list[tuple[str, ...]]) -> RewardSums:
    found = {}
    for bucket_s, length_s, policy, arm, version, metric, group, *values in rows:
        key = RewardKey(int(bucket_s), int(length_s), int(policy), arm, version, metric, int(group))
        found[key] = RewardSum(*map(int, values))
    return found
