"""SQL over the log: over its Parquet files, and over the segments that are not Parquet yet.

The tables `inferences` and `audit` show each row once, even while a segment is being turned into Parquet, or if two
replicas have logged the same change. The view `first_exposures` has one row for each route and sticky unit, and
`labelled` one for each row of a primary and metric.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import structlog

from inference_log.declared_metrics import create_metrics
from inference_log.errors import QueryRefused
from inference_log.first_exposures import FIRST_EXPOSURES
from inference_log.labelled import LABELLED
from inference_log.rows import partition_rows
from inference_log.schema import REWARDS, TABLES, Partition, Table
from inference_log.segment import read_segment
from inference_log.spool import all_segments

_log = structlog.get_logger()

_VIEW = """
CREATE VIEW {name} AS
SELECT * FROM ({sources})
QUALIFY ROW_NUMBER() OVER (PARTITION BY {identity} ORDER BY {order}) = 1
"""
_WAITING = "SELECT * FROM waiting_{name}"
_PARQUET = """
SELECT * FROM read_parquet('{pattern}', hive_partitioning = true, union_by_name = true, hive_types = {{{types}}})
"""
_NEEDS_METRICS = re.compile(r"\b(labelled|metrics)\b", re.IGNORECASE)


def run_query(log: Path, spool: Path, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Run one query and return its column names and rows.

    Raises:
        QueryRefused: the SQL cannot be run.
    """
    with open_log(log, spool) as connection:
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
def open_log(log: Path, spool: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection in which the log is tables, and views of these."""
    # Read segments first. A segment that becomes Parquet in between is then read twice and shown once.
    waiting = _waiting_rows(spool)
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")  # it would be among what a command prints
        for table in TABLES:
            connection.register(f"waiting_{table.name}", waiting[table])
            connection.execute(_view(log, table))
        connection.execute(f"CREATE VIEW every_reward AS {_sources(log, REWARDS)}")
        connection.execute(FIRST_EXPOSURES)
        yield connection


def _view(log: Path, table: Table) -> str:
    """Return the SQL of one table, in which each row is once."""
    return _VIEW.format(
        name=table.name, sources=_sources(log, table), identity=", ".join(table.identity), order=table.order
    )


def _sources(log: Path, table: Table) -> str:
    """Return the SQL of the rows in the Parquet files of a table and of those that are not Parquet yet."""
    sources = [_WAITING.format(name=table.name)]
    pattern = "/".join([table.name, *(f"{key}=*" for key in table.keys), "*.parquet"])
    if any(log.glob(pattern)):
        quoted = str(log / pattern).replace("'", "''")
        types = ", ".join(f"'{key}': VARCHAR" for key in table.keys)
        sources.append(_PARQUET.format(pattern=quoted, types=types))
    return " UNION ALL BY NAME ".join(sources)


def _waiting_rows(spool: Path) -> dict[Table, pa.Table]:
    """Return the rows of every segment, by table."""
    parts = {
        table: [_with_keys(Partition(table, ("",) * len(table.keys)), table.columns.empty_table())] for table in TABLES
    }
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
            parts[partition.table].append(_with_keys(partition, rows))
    return {table: pa.concat_tables(rows) for table, rows in parts.items()}


def _with_keys(partition: Partition, rows: pa.Table) -> pa.Table:
    for key, value in zip(partition.table.keys, partition.values, strict=True):
        rows = rows.append_column(key, pa.repeat(pa.scalar(value, pa.string()), rows.num_rows))
    return rows
