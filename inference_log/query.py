"""Runs SQL over the log: Parquet and the segments that are not Parquet yet. Acts.

The table `inferences` has each row once, also while a segment is being turned into Parquet.
"""

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import structlog

from inference_log.errors import QueryRefused
from inference_log.rows import partition_rows
from inference_log.schema import INFERENCES, PARTITION_KEYS, TABLE
from inference_log.segment import read_segment
from inference_log.spool import all_segments

_log = structlog.get_logger()

_VIEW = """
CREATE VIEW inferences AS
SELECT * FROM ({sources})
QUALIFY ROW_NUMBER() OVER (PARTITION BY inference_id ORDER BY writer_seq) = 1
"""
_PARQUET = """
SELECT * FROM read_parquet('{pattern}', hive_partitioning = true, union_by_name = true,
                           hive_types = {{'route': VARCHAR, 'dt': VARCHAR}})
"""


def run_query(log: Path, spool: Path, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Column names and rows.

    Raises:
        QueryRefused: the SQL is wrong.
    """
    # Segments first: one that becomes Parquet in between is then read twice and shown once.
    waiting = _waiting_rows(spool)
    sources = ["SELECT * FROM waiting"]
    pattern = log / TABLE / "route=*" / "dt=*" / "*.parquet"
    if any(log.glob(f"{TABLE}/route=*/dt=*/*.parquet")):
        sources.append(_PARQUET.format(pattern=str(pattern).replace("'", "''")))
    with duckdb.connect(":memory:") as connection:
        connection.register("waiting", waiting)
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(_VIEW.format(sources=" UNION ALL BY NAME ".join(sources)))
        try:
            if not connection.extract_statements(sql):
                raise QueryRefused("The query is empty; ask for something, such as FROM inferences LIMIT 10.")
            answer = connection.execute(sql)
        except duckdb.Error as error:
            raise QueryRefused(f"The query cannot be run: {error}") from error
        return [column[0] for column in answer.description or ()], answer.fetchall()


def _waiting_rows(spool: Path) -> pa.Table:
    tables = [_with_keys(INFERENCES.empty_table(), "", "")]
    for path in all_segments(spool):
        try:
            segment = read_segment(path.read_bytes())
            partitions = partition_rows(segment) if segment else {}
        except FileNotFoundError:
            continue  # became Parquet since it was listed
        except Exception as error:  # noqa: BLE001  # the roller sets such a segment aside, and says so
            _log.warning("inference_log.segment.unreadable", segment=path.name, error=repr(error))
            continue
        tables += [_with_keys(table, partition.route, partition.dt) for partition, table in partitions.items()]
    return pa.concat_tables(tables)


def _with_keys(table: pa.Table, *values: str) -> pa.Table:
    for (name, kind), value in zip(PARTITION_KEYS, values, strict=True):
        table = table.append_column(name, pa.repeat(pa.scalar(value, kind), table.num_rows))
    return table
