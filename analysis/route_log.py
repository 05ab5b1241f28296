"""The tables of one route of a log, within a bound of memory.

They are those of `pointsman log query`: `inferences`, `audit`, `policies`, and `every_reward`, in which a reward may be
several rows. The log is as it was when it was opened. Segments are read one at a time, and Parquet files only where the
path says that they are of the route.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from analysis.errors import AnalysisRefused
from inference_log.bounded import bounded_connection
from inference_log.frozen_log import FrozenLog, frozen_log
from inference_log.rows import partition_rows
from inference_log.schema import AUDIT, INFERENCES, POLICIES, REWARDS, Table

_NAMES = {INFERENCES: "inferences", AUDIT: "audit", POLICIES: "policies", REWARDS: "every_reward"}
_VIEW = "CREATE OR REPLACE VIEW {name} AS SELECT * FROM ({sources}) WHERE route = {route}"


class RouteLog:
    """A log of which one route at a time is shown. `connection` has the tables of the route that was chosen last."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, frozen: FrozenLog) -> None:
        self.connection = connection
        self._files = {table: frozen.partitions(table) for table in _NAMES}
        for table in _NAMES:
            keys = [pa.field(key, pa.string()) for key in table.keys]
            connection.register("empty", pa.schema([*table.columns, *keys]).empty_table())
            connection.execute(f"CREATE TABLE waiting_{table.name} AS FROM empty")
        for segment in frozen.segments():
            for partition, rows in partition_rows(segment).items():
                if partition.table not in _NAMES:
                    continue
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

    def choose(self, route: str) -> None:
        """Make the tables those of a route.

        Raises:
            AnalysisRefused: the log has nothing of the route.
        """
        if route not in self.routes:
            there = f"it has {', '.join(self.routes)}" if self.routes else "it is empty"
            raise AnalysisRefused(f"The log has no decisions of route {route}; {there}.")
        for table, name in _NAMES.items():
            sources = self._sources(table, route)
            self.connection.execute(_VIEW.format(name=name, sources=sources, route=quoted(route)))

    def _sources(self, table: Table, route: str) -> str:
        """Return the SQL of the rows that are Parquet and of those that are not, of a route where the path says it."""
        of_route = table.keys[0] == "route"
        files = [
            quoted(str(path))
            for values, paths in self._files[table].items()
            if not of_route or values[0] == route
            for path in paths
        ]
        waiting = f"SELECT * FROM waiting_{table.name}"  # noqa: S608  # a constant
        if not files:
            return waiting
        own = f"{quoted(route)} AS route, " if of_route else ""
        read = f"read_parquet([{', '.join(files)}], union_by_name = true, hive_partitioning = false)"
        return f"{waiting} UNION ALL BY NAME SELECT {own}* FROM {read}"  # noqa: S608  # names are quoted


@contextmanager
def open_route_log(log: Path, spool: Path) -> Iterator[RouteLog]:
    """Open the log of a machine: its Parquet files, and its segments that are not Parquet yet.

    Raises:
        AnalysisRefused: a file cannot be read, also in the block.
    """
    with frozen_log(log, spool) as frozen, bounded_connection() as connection:
        try:
            yield RouteLog(connection, frozen)
        except duckdb.Error as error:
            raise AnalysisRefused(f"The log cannot be read: {error}") from error


def quoted(text: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"
