"""The tables that a replay reads, of one route at a time, within a bound of memory.

`drawn` has the decisions whose arm was drawn, `documents` the versions of the route's document and from when to when
each was in force, `policies` what was learned. After its store was lost, a route may have the same version twice, so a
decision belongs to the document of its version that was in force when its request arrived.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from inference_log.bounded import bounded_connection
from inference_log.frozen_log import FrozenLog, frozen_log
from inference_log.rows import partition_rows
from inference_log.schema import AUDIT, INFERENCES, POLICIES, Table

_TABLES = (INFERENCES, AUDIT, POLICIES)
_OF_ROUTE = "CREATE OR REPLACE VIEW {name}_of_route AS SELECT * FROM ({sources}) WHERE route = {route}"
_DOCUMENTS = """
CREATE OR REPLACE TABLE documents AS
SELECT
    row_number() OVER (ORDER BY changed_ts_us, version) AS document_id,
    version,
    CASE WHEN lag(version) OVER in_order IS NULL THEN 0 ELSE changed_ts_us END AS since_us,
    lead(changed_ts_us) OVER in_order AS until_us,
    CASE WHEN json_valid(document) THEN coalesce((document ->> '$.declared_us')::BIGINT, 0) END AS life,
    CASE WHEN json_valid(document) THEN (document ->> '$.learning.since_version')::BIGINT END AS since_version,
    document
FROM (SELECT version, changed_ts_us, any_value(document) AS document FROM audit_of_route GROUP BY ALL)
WINDOW in_order AS (PARTITION BY version ORDER BY changed_ts_us)
"""
_DRAWN = """
CREATE OR REPLACE VIEW drawn AS
SELECT
    i.decision_id, i.policy_version, coalesce(i.policy_number, 0) AS policy_number, i.arm, i.reason, i.propensity,
    i.unit_hash, d.document_id, d.life
FROM inferences_of_route i
LEFT JOIN documents d ON d.version = i.policy_version
    AND d.since_us <= i.event_ts_us - round(1000 * i.latency_ms)
    AND (d.until_us IS NULL OR i.event_ts_us - round(1000 * i.latency_ms) < d.until_us)
WHERE i.role = 'primary' AND i.reason IN ('STICKY', 'WEIGHTED', 'EVALUATED') AND i.instance_index = 0
    AND i.event_ts_us >= {since_us}
"""


class ReplayLog:
    """A log as it was when it was opened. `connection` has the tables of the route that was chosen last."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, frozen: FrozenLog) -> None:
        self.connection = connection
        self._files = {table: frozen.partitions(table) for table in _TABLES}
        for table in _TABLES:
            keys = [pa.field(key, pa.string()) for key in table.keys if key not in table.columns.names]
            connection.register("empty", pa.schema([*table.columns, *keys]).empty_table())
            connection.execute(f"CREATE TABLE waiting_{table.name} AS FROM empty")
        for segment in frozen.segments():
            for partition, rows in partition_rows(segment).items():
                if partition.table in _TABLES:
                    for key, value in zip(partition.table.keys, partition.values, strict=True):
                        rows = rows.append_column(key, pa.repeat(pa.scalar(value, pa.string()), rows.num_rows))
                    connection.register("more", rows)
                    connection.execute(f"INSERT INTO waiting_{partition.table.name} BY NAME FROM more")

    @property
    def routes(self) -> list[str]:
        """The routes of which the log has decisions or policies, by name."""
        found = {values[0] for table in (INFERENCES, POLICIES) for values in self._files[table]}
        for table in (INFERENCES, POLICIES):
            waiting = self.connection.execute(f"SELECT DISTINCT route FROM waiting_{table.name}").fetchall()  # noqa: S608
            found |= {route for (route,) in waiting}
        return sorted(found)

    def choose(self, route: str, since_us: int) -> None:
        """Make the tables of a route. `drawn` has decisions since a time (microseconds since the epoch)."""
        for table in _TABLES:
            statement = _OF_ROUTE.format(name=table.name, sources=self._sources(table, route), route=_quoted(route))
            self.connection.execute(statement)
        self.connection.execute(_DOCUMENTS)
        self.connection.execute(_DRAWN.format(since_us=since_us))

    def _sources(self, table: Table, route: str) -> str:
        """Return the SQL of the rows that are Parquet and of those that are not, of a route where the path says it."""
        of_route = "route" in table.keys
        files = [
            str(path)
            for values, paths in self._files[table].items()
            if not of_route or values[0] == route
            for path in paths
        ]
        waiting = f"SELECT * FROM waiting_{table.name}"  # noqa: S608  # a constant
        if not files:
            return waiting
        named = ", ".join(map(_quoted, files))
        own = f"{_quoted(route)} AS route, " if of_route else ""
        read = f"SELECT {own}* FROM read_parquet([{named}], union_by_name = true, hive_partitioning = false)"  # noqa: S608
        return f"{waiting} UNION ALL BY NAME {read}"


@contextmanager
def open_replay_log(log: Path, spool: Path) -> Iterator[ReplayLog]:
    """Open the log for a replay. Segments are read one at a time."""
    with frozen_log(log, spool) as frozen, bounded_connection() as connection:
        yield ReplayLog(connection, frozen)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
