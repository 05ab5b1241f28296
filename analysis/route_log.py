"""The tables of one route of a log, within a bound of memory.

They are those of `pointsman log query`: `inferences`, `audit`, `policies`, and `every_reward`, in which a reward may be
several rows. The log is as it was when it was opened. Segments are read one at a time, and Parquet files only where the
path says that they are of the route.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow.dataset as ds

from analysis.errors import AnalysisRefused
from inference_log.bounded import bounded_connection
from inference_log.errors import LogUnavailable
from inference_log.files import LogFiles
from inference_log.frozen_log import FrozenLog, frozen_log
from inference_log.rows import partition_rows, with_keys
from inference_log.schema import AUDIT, INFERENCES, POLICIES, REWARDS
from inference_log.stored import schema_with_keys

_NAMES = {INFERENCES: "inferences", AUDIT: "audit", POLICIES: "policies", REWARDS: "every_reward"}
_VIEW = """
CREATE OR REPLACE VIEW {name} AS
SELECT * FROM (SELECT * FROM waiting_{table} UNION ALL BY NAME SELECT * FROM stored_{table}) WHERE route = {route}
"""


class RouteLog:
    """A log of which one route at a time is shown. `connection` has the tables of the route that was chosen last."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, frozen: FrozenLog) -> None:
        self.connection = connection
        self._frozen = frozen
        self._stored: dict[str, ds.Dataset] = {}
        for table in _NAMES:
            connection.register("empty", schema_with_keys(table).empty_table())
            connection.execute(f"CREATE TABLE waiting_{table.name} AS FROM empty")
        for segment in frozen.segments():
            for partition, rows in partition_rows(segment).items():
                if partition.table not in _NAMES:
                    continue
                connection.register("more", with_keys(partition, rows))
                connection.execute(f"INSERT INTO waiting_{partition.table.name} BY NAME FROM more")

    @property
    def routes(self) -> list[str]:
        """The routes of which the log has decisions or policies, by name."""
        found = {values[0] for table in (INFERENCES, POLICIES) for values in self._frozen.partitions(table)}
        for table in (INFERENCES, POLICIES):
            waiting = self.connection.execute(f"SELECT DISTINCT route FROM waiting_{table.name}").fetchall()  # noqa: S608
            found |= {route for (route,) in waiting}
        return sorted(found)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return another connection to the tables of the chosen route. They can be read by both at the same time."""
        cursor = self.connection.cursor()
        for name, stored in self._stored.items():
            cursor.register(name, stored)
        return cursor

    def choose(self, route: str) -> None:
        """Make the tables those of a route.

        Raises:
            AnalysisRefused: the log has nothing of the route.
        """
        if route not in self.routes:
            there = f"it has {', '.join(self.routes)}" if self.routes else "it is empty"
            raise AnalysisRefused(f"The log has no decisions of route {route}; {there}.")
        self._stored.clear()
        for table, name in _NAMES.items():
            of_route = table.keys[0] == "route"
            partitions = [each for each in self._frozen.partitions(table) if not of_route or each[0] == route]
            self._stored[f"stored_{table.name}"] = self._frozen.stored(table, partitions)
            self.connection.register(f"stored_{table.name}", self._stored[f"stored_{table.name}"])
            self.connection.execute(_VIEW.format(name=name, table=table.name, route=quoted(route)))


@contextmanager
def open_route_log(files: LogFiles, spool: Path) -> Iterator[RouteLog]:
    """Open the log of a machine: its Parquet files, and its segments that are not Parquet yet.

    Raises:
        AnalysisRefused: a file cannot be read, also in the block.
    """
    try:
        with frozen_log(files, spool) as frozen, bounded_connection() as connection:
            yield RouteLog(connection, frozen)
    except (duckdb.Error, LogUnavailable) as error:
        raise AnalysisRefused(f"The log cannot be read: {error}") from error


def quoted(text: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"
