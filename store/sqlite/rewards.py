"""Sums of rewards, and outcomes of decisions, in a SQLite file.

The groups of units come early in the key of the table. So the sums of all units lie side by side and are read without
those of the groups, of which there may be 64 times as many.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence

from router.evidence.sums import GROUPS
from router.rewards.buckets import BUCKETS_KEPT, LENGTHS_S
from router.rewards.outcomes import KEPT_AT_LEAST_S, DecisionKey
from router.rewards.sums import NO_GROUP, ContextSums, RewardKey, RewardSum, RewardSums, with_totals
from store.codec import LARGEST_SUM, clamp, decode_integers, encode_integers
from store.counted import VERSIONS_READ
from store.errors import OutcomesChanged
from store.rewarded import ReadRewards, Rewarded
from store.sqlite.connection import SQLiteConnection

_COLUMNS = ", ".join((*RewardKey._fields[:-1], "unit_group", *RewardSum._fields))
_MARKS = ", ".join("?" for _ in (*RewardKey._fields, *RewardSum._fields))
# SQLite turns an integer that overflows into a real number. MIN and MAX then replace it by the largest sum.
_GROWN = ", ".join(
    f"{name} = MAX({-LARGEST_SUM}, MIN({LARGEST_SUM}, {name} + excluded.{name}))" for name in RewardSum._fields
)
_ADD = f"INSERT INTO reward_sums (route, {_COLUMNS}) VALUES (?, {_MARKS}) ON CONFLICT DO UPDATE SET {_GROWN}"  # noqa: S608  # built from constants of this file
_LENGTHS = f"({', '.join(map(str, LENGTHS_S))})"
_ALL_UNITS, _EACH_GROUP = (NO_GROUP,), tuple(range(GROUPS))


def _chosen(groups: Sequence[int]) -> str:
    """Return a condition that names every value of the first columns of the key, so that nothing else is looked at."""
    return f"route = ?1 AND unit_group IN ({', '.join(map(str, groups))}) AND length_s IN {_LENGTHS}"


_CHOSEN = {False: _chosen(_ALL_UNITS), True: _chosen(_EACH_GROUP)}
_RECENT = {
    by_group: f"SELECT {_COLUMNS} FROM reward_sums WHERE {chosen} AND bucket_s >= ?2 AND policy_version >= ?3"  # noqa: S608  # as above
    for by_group, chosen in _CHOSEN.items()
}
_TOTALS = {
    by_group: f"SELECT {_COLUMNS} FROM reward_sums WHERE {chosen} AND bucket_s = 0 AND policy_version >= ?2"  # noqa: S608  # as above
    for by_group, chosen in _CHOSEN.items()
}
_DELETE_BUCKETS = f"""
DELETE FROM reward_sums WHERE {_chosen(_ALL_UNITS + _EACH_GROUP)}
AND length_s = ?2 AND bucket_s BETWEEN 1 AND ?3 - {BUCKETS_KEPT} * ?2
"""  # noqa: S608  # as above
_DELETE_VERSIONS = f"""
DELETE FROM reward_sums WHERE {_chosen(_ALL_UNITS + _EACH_GROUP)} AND bucket_s = 0 AND policy_version <= (
    SELECT DISTINCT policy_version FROM reward_sums WHERE {_chosen(_ALL_UNITS)} AND bucket_s = 0
    ORDER BY policy_version DESC LIMIT 1 OFFSET {VERSIONS_READ}
)
"""  # noqa: S608  # as above
_CONTEXT_COLUMNS = ", ".join(RewardKey._fields[:-1])
_ADD_CONTEXT = f"""
INSERT INTO context_sums (route, {_CONTEXT_COLUMNS}, integers) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET integers = add_integers(integers, excluded.integers)
"""  # noqa: S608  # as above
_CONTEXTS = f"""
SELECT {_CONTEXT_COLUMNS}, integers FROM context_sums
WHERE route = ?1 AND length_s IN {_LENGTHS} AND bucket_s >= ?2 AND policy_version >= ?3
"""  # noqa: S608  # as above
_DELETE_CONTEXTS = f"""
DELETE FROM context_sums WHERE route = ?1 AND length_s = ?2 AND bucket_s <= ?3 - {BUCKETS_KEPT} * ?2
"""  # noqa: S608  # as above
_OUTCOMES = """
SELECT key, content FROM json_each(?) CROSS JOIN outcomes ON route = json_extract(value, '$[0]')
AND declared_us = json_extract(value, '$[1]') AND decision_id = json_extract(value, '$[2]')
"""
_NEW_OUTCOME = """
INSERT INTO outcomes VALUES (?1, ?2, ?3, ?5, ?6)
ON CONFLICT DO UPDATE SET content = ?5, kept_until_s = ?6 WHERE content = ?4
"""
_REPLACE_OUTCOME = """
UPDATE outcomes SET content = ?5, kept_until_s = ?6
WHERE route = ?1 AND declared_us = ?2 AND decision_id = ?3 AND content = ?4
"""
_DELETE_OUTCOMES = """
DELETE FROM outcomes WHERE (route, declared_us, decision_id) IN (
    SELECT route, declared_us, decision_id FROM outcomes WHERE kept_until_s < ? ORDER BY kept_until_s LIMIT ?
)
"""
_READ_AT_ONCE = 1000
_LEAST_DELETED = 100


class SQLiteRewards(SQLiteConnection):
    """The sums of rewards, and the outcomes, of `store.interface.Store`."""

    def outcomes(self, keys: Sequence[DecisionKey]) -> Sequence[bytes]:
        """See `Store.outcomes`."""
        found = [b""] * len(keys)
        for start in range(0, len(keys), _READ_AT_ONCE):
            for at, content in self._query(_OUTCOMES, json.dumps(keys[start : start + _READ_AT_ONCE])):
                found[start + int(at)] = bytes(content)  # type: ignore[arg-type]  # the one column that is a blob
        return found

    def reward_sums(self, route: str, since_version: int, since_s: int, *, by_group: bool = False) -> ReadRewards:
        """See `Store.reward_sums`."""
        recent = _sums(self._query(_RECENT[by_group], route, max(1, since_s), since_version))  # so that totals have it
        totals = _sums(self._query(_TOTALS[by_group], route, since_version))
        newest = sorted({key.policy_version for key in totals})[-VERSIONS_READ:]
        return ReadRewards(
            totals={key: value for key, value in totals.items() if key.policy_version >= newest[0]}, recent=recent
        )

    def context_sums(self, route: str, since_version: int, since_s: int) -> ContextSums:
        """See `Store.context_sums`."""
        found = {}
        rows = self._query(_CONTEXTS, route, since_s, since_version)
        for bucket_s, length_s, policy, arm, version, metric, text in rows:
            integers = decode_integers(text)
            if integers is not None:
                found[RewardKey(int(bucket_s), int(length_s), int(policy), arm, version, metric)] = integers
        return found


def add_rewards(connection: sqlite3.Connection, rewarded: Rewarded, now_s: float) -> None:
    """Add to the sums of rewards and replace outcomes, in a transaction. Delete outcomes that are no longer kept.

    No count deletes many more than it writes, so that none holds the lock for long.

    Raises:
        OutcomesChanged: an outcome is not what was read. The transaction must be rolled back.
    """
    if rewarded.outcomes:
        soonest_s = int(now_s) + KEPT_AT_LEAST_S
        rows = [(*key, before, after, max(until_s, soonest_s)) for key, before, after, until_s in rewarded.outcomes]
        rows.sort()  # so that neighbours in the table, and in its index, are written together
        for statement, those in (
            (_NEW_OUTCOME, [row for row in rows if not row[3]]),
            (_REPLACE_OUTCOME, [row for row in rows if row[3]]),
        ):
            if those and connection.executemany(statement, those).rowcount != len(those):
                raise OutcomesChanged("The outcomes of a decision have changed since they were read.")
    connection.executemany(_ADD, _rows(rewarded.sums))
    connection.executemany(_ADD_CONTEXT, _context_rows(rewarded.contexts))
    connection.execute(_DELETE_OUTCOMES, (now_s, _LEAST_DELETED + 2 * len(rewarded.outcomes)))


def delete_old_reward_sums(connection: sqlite3.Connection, now_s: float) -> None:
    """Delete the buckets, and the policy versions, that are no longer kept."""
    routes = [route for (route,) in connection.execute("SELECT route FROM counted").fetchall()]
    connection.executemany(
        _DELETE_BUCKETS, [(route, length_s, int(now_s)) for route in routes for length_s in LENGTHS_S]
    )
    connection.executemany(
        _DELETE_CONTEXTS, [(route, length_s, int(now_s)) for route in routes for length_s in LENGTHS_S]
    )
    connection.executemany(_DELETE_VERSIONS, [(route,) for route in routes])


def _rows(added: Mapping[str, RewardSums]) -> Iterator[tuple[str | int, ...]]:
    """Yield a row for each sum, also for those over all time (bucket 0)."""
    for route, sums in added.items():
        for key, value in with_totals(sums).items():
            yield (route, *key, *map(clamp, value))


def _context_rows(added: Mapping[str, ContextSums]) -> Iterator[tuple[str | int, ...]]:
    for route, sums in added.items():
        for key, integers in sums.items():
            yield (route, *key[:-1], encode_integers(integers))


def _sums(rows: list[tuple[str, ...]]) -> RewardSums:
    found = {}
    for bucket_s, length_s, policy, arm, version, metric, group, *values in rows:
        key = RewardKey(int(bucket_s), int(length_s), int(policy), arm, version, metric, int(group))
        found[key] = RewardSum(*map(int, values))
    return found
