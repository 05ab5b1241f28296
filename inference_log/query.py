"""SQL over the log: over its Parquet files, and over the segments that are not Parquet yet.

The tables `inferences` and `audit` show each row once, even while a segment is being turned into Parquet, or if two
replicas have logged the same change. The view `first_exposures` has one row for each route and sticky unit, and
`labelled` one for each row of a primary and metric.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import structlog

from inference_log.declared_metrics import create_metrics
from inference_log.errors import QueryRefused
from inference_log.files import LogFiles
from inference_log.first_exposures import FIRST_EXPOSURES
from inference_log.labelled import LABELLED
from inference_log.rows import partition_rows, with_keys
from inference_log.schema import REWARDS, TABLES, Table
from inference_log.segment import read_segment
from inference_log.spool import all_segments
from inference_log.sql import read_sql
from inference_log.stored import dataset, schema_with_keys, stored_by_keys

_log = structlog.get_logger()

_VIEW = """
CREATE VIEW {name} AS
SELECT * FROM ({sources})
QUALIFY ROW_NUMBER() OVER (PARTITION BY {identity} ORDER BY {order}) = 1
"""
_SOURCES = "SELECT * FROM waiting_{name} UNION ALL BY NAME SELECT * FROM stored_{name}"
_NEEDS_METRICS = re.compile(r"\b(labelled|metrics)\b", re.IGNORECASE)


def _nothing() -> None:
    pass


def run_query(
    files: LogFiles, spool: Path, sql: str, on_empty: Callable[[], None] = _nothing
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Run one query and return its column names and rows. If the log has no rows at all, `on_empty` is called.

    Raises:
        QueryRefused: the SQL cannot be run.
        LogUnavailable: the log cannot be read now.
    """
    with open_log(files, spool, on_empty) as connection:
        try:
            if not connection.extract_statements(sql):
                raise QueryRefused("The query is empty; enter one, such as FROM inferences LIMIT 10.")
            if _NEEDS_METRICS.search(sql):  # all documents are read
                create_metrics(connection)
                connection.execute(LABELLED)
            result = connection.execute(sql)
        except duckdb.Error as error:
            raise QueryRefused(f"The query cannot be run: {error}") from error
        return [column[0] for column in result.description or ()], result.fetchall()


@contextmanager
def open_log(
    files: LogFiles, spool: Path, on_empty: Callable[[], None] = _nothing
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection in which the log is tables, and views of these. If no table has rows, call `on_empty` first.

    Raises:
        LogUnavailable: the log cannot be read now.
    """
    # Read segments first. A segment that becomes Parquet in between is then read twice and shown once.
    waiting = _waiting_rows(spool)
    stored = {table: stored_by_keys(files, table) for table in TABLES}
    if not any(stored.values()) and not any(map(len, waiting.values())):
        on_empty()
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")  # it would be among what a command prints
        for table in TABLES:
            connection.register(f"waiting_{table.name}", waiting[table])
            connection.register(f"stored_{table.name}", dataset(files, table, stored[table]))
            connection.execute(_view(table))
        connection.execute(f"CREATE VIEW every_reward AS {_SOURCES.format(name=REWARDS.name)}")
        connection.execute(FIRST_EXPOSURES)
        for table in TABLES:
            connection.execute(f"CREATE VIEW {table.name}_all AS FROM {table.name}")  # as Athena names them
        connection.execute(f"CREATE VIEW loss AS {read_sql('views', 'loss')}")
        yield connection


def _view(table: Table) -> str:
    """Return the SQL of one table, in which each row is once."""
    identity = ", ".join((*table.identity, *table.shared))
    return _VIEW.format(name=table.name, sources=_SOURCES.format(name=table.name), identity=identity, order=table.order)


def _waiting_rows(spool: Path) -> dict[Table, pa.Table]:
    """Return the rows of every segment, by table."""
    parts = {table: [schema_with_keys(table).empty_table()] for table in TABLES}
    for path in all_segments(spool):
        try:
            segment = read_segment(path.read_bytes())
            partitions = partition_rows(segment) if segment else {}
        except FileNotFoundError:
            continue  # it became Parquet after it was listed
        except Exception as error:  # noqa: BLE001  # the shipper sets such a segment aside and logs it
            _log.warning("inference_log.segment.unreadable", segment=path.name, error=repr(error))
            continue
        for partition, rows in partitions.items():
            parts[partition.table].append(with_keys(partition, rows))
    return {table: pa.concat_tables(rows) for table, rows in parts.items()}
