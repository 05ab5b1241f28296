"""Finds the decisions to which outcomes belong, by the key that the business has.

A key may be the decision's id, the id that the caller gave the request, or the unit. If one key has several decisions,
a rule says which of them gets the outcome: the first, the last, or all. Of a unit those decisions count that were made
before the outcome, and not longer before it than the metric's window.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

import duckdb
import pyarrow as pa

from inference_log.errors import ImportRefused
from router.evidence.sums import group_of

_BATCH = 10_000


class KeyKind(StrEnum):
    """What the key of an outcome is."""

    DECISION_ID = "decision_id"
    REQUEST_ID = "request_id"
    UNIT = "unit"


class Rule(StrEnum):
    """Which of several decisions gets an outcome."""

    FIRST = "first"
    LAST = "last"
    ALL = "all"


class Joined(NamedTuple):
    """How many outcomes have a decision, how many rewards they are, and the first keys of the others."""

    matched: int
    rewards: int
    unmatched: int
    unmatched_keys: Sequence[str]


class Match(NamedTuple):
    """An outcome and one of its decisions."""

    decision_id: str
    policy_version: int
    arm: str
    propensity: float | None
    decided_us: int
    latency_us: int
    group: int
    context: Sequence[float] | None
    weights: Mapping[str, float] | None
    value: float | None
    label: str | None
    us: int
    event: str


_DECISIONS = """
SELECT decision_id, {column} AS key, policy_version, arm, propensity, unit_hash, context,
    CASE WHEN policy_kind = 'bandit' THEN weights END AS weights,
    event_ts_us - round(1000 * latency_ms)::BIGINT AS decided_us, round(1000 * latency_ms)::BIGINT AS latency_us
FROM inferences
WHERE route = $route AND role = 'primary' AND instance_index = 0 AND outcome = 'ok'
"""
_BY_ID = "SELECT o.row, d.* EXCLUDE (key) FROM outcomes o JOIN ({decisions}) d ON d.key = o.key"
_BY_UNIT = """
SELECT o.row, d.* EXCLUDE (key)
FROM outcomes o JOIN units u ON u.key = o.key JOIN ({decisions}) d ON d.key = u.unit_hash
JOIN (
    SELECT policy_version, max(window_s) AS window_s FROM metrics WHERE route = $route AND metric = $metric GROUP BY ALL
) w ON w.policy_version = d.policy_version
WHERE d.decided_us <= o.us AND o.us - d.decided_us <= 1e6 * w.window_s
"""
_ORDER = {Rule.FIRST: "ASC", Rule.LAST: "DESC"}
_AMBIGUOUS = """
SELECT any_value(o.key), count(*) FROM matched m JOIN outcomes o USING (row)
GROUP BY row HAVING count(*) > 1 ORDER BY row LIMIT 1
"""
_MATCHES = """
SELECT m.decision_id, m.policy_version, m.arm, m.propensity, m.decided_us, m.latency_us, m.unit_hash, m.context,
    m.weights, o.value, o.label, o.us, o.event
FROM matched m JOIN outcomes o USING (row) ORDER BY row, m.decided_us, m.decision_id
"""
_NAMED = 10


def join_outcomes(
    connection: duckdb.DuckDBPyConnection,
    route: str,
    metric: str,
    kind: KeyKind,
    rule: Rule | None,
    hash_unit: Callable[[str], str],
) -> Joined:
    """Make the table `matched` from `outcomes`, beside the log's views and the table `metrics`.

    Raises:
        ImportRefused: no version of the route has the metric, or a key has several decisions and there is no rule.
    """
    _check_metric(connection, route, metric)
    values = {"route": route}
    if kind is KeyKind.UNIT:
        _hash_units(connection, hash_unit)
        values["metric"] = metric
    column = "unit_hash" if kind is KeyKind.UNIT else kind.value
    sql = (_BY_UNIT if kind is KeyKind.UNIT else _BY_ID).format(decisions=_DECISIONS.format(column=column))
    if rule in _ORDER:
        sql += (
            f" QUALIFY row_number() OVER (PARTITION BY o.row ORDER BY d.decided_us {_ORDER[rule]}, d.decision_id) = 1"
        )
    connection.execute(f"CREATE TABLE matched AS {sql}", values)
    if rule is None:
        _check_unambiguous(connection, metric, kind)
    ((matched, rewards),) = connection.execute("SELECT count(DISTINCT row), count(*) FROM matched").fetchall()
    unmatched = "FROM outcomes ANTI JOIN matched USING (row)"
    ((count,),) = connection.execute(f"SELECT count(*) {unmatched}").fetchall()
    first = connection.execute(f"SELECT key {unmatched} ORDER BY row LIMIT {_NAMED}").fetchall()
    return Joined(matched, rewards, count, [key for (key,) in first])


def matches(connection: duckdb.DuckDBPyConnection) -> Iterator[Match]:
    """Yield what `join_outcomes` has found, in the order of the file."""
    rows = connection.execute(_MATCHES)
    while batch := rows.fetchmany(_BATCH):
        for row in batch:
            yield Match._make((*row[:6], -1 if row[6] is None else group_of(row[6]), *row[7:]))


def _check_metric(connection: duckdb.DuckDBPyConnection, route: str, metric: str) -> None:
    sql = "SELECT metric, bool_or(formula IS NOT NULL) FROM metrics WHERE route = ? GROUP BY ALL ORDER BY ALL"
    declared: dict[str, bool] = dict(connection.execute(sql, [route]).fetchall())
    if declared.get(metric, True):
        names = ", ".join(name for name, is_computed in declared.items() if not is_computed)
        raise ImportRefused(
            f"No version of route {route} that is in the log declares metric {metric} to be reported"
            f"{f'; there are {names}' if names else ''}."
        )


def _hash_units(connection: duckdb.DuckDBPyConnection, hash_unit: Callable[[str], str]) -> None:
    connection.execute("CREATE TABLE units (key VARCHAR, unit_hash VARCHAR)")
    keys = connection.cursor().execute("SELECT DISTINCT key FROM outcomes")
    while batch := keys.fetchmany(_BATCH):
        names = [key for (key,) in batch]
        more = pa.table({"key": names, "unit_hash": [hash_unit(key) for key in names]})
        connection.register("more_units", more)
        connection.execute("INSERT INTO units FROM more_units")


def _check_unambiguous(connection: duckdb.DuckDBPyConnection, metric: str, kind: KeyKind) -> None:
    found = connection.execute(_AMBIGUOUS).fetchone()
    if found is None:
        return
    key, count = found
    where = f" in the window of {metric} before its outcome" if kind is KeyKind.UNIT else ""
    raise ImportRefused(
        f"{kind} {key!r} has {count} decisions{where}, so it is not known which of them the outcome belongs to. Say it "
        "with --rule last (the newest of them), --rule first, or --rule all."
    )
