"""Counts a day of the log by route: its rows, its writers, and what they lost. Only two columns of it are read."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from inference_log.bounded import bounded_connection
from inference_log.compaction.records import read_records, without_copies
from inference_log.completeness.days import neighbours
from inference_log.completeness.loss import create_rows, find_gaps
from inference_log.day_files import files_of_day
from inference_log.errors import LogUnavailable
from inference_log.files import LogFiles
from inference_log.schema import INFERENCES, REWARDS, Table

_TABLES = (INFERENCES, REWARDS)
_KEYS = [("route", pa.string()), ("dt", pa.string())]
_PARTITIONS = ds.partitioning(pa.schema(_KEYS), flavor="hive")
_COLUMNS = pa.schema([("writer_id", pa.string()), ("writer_seq", pa.int64()), *_KEYS])
_BY_ROUTE = """
SELECT route, count(*) FILTER (kind = 'inferences'), count(*) FILTER (kind = 'rewards'), count(DISTINCT writer_id)
FROM rows GROUP BY route ORDER BY route
"""


class Counted(NamedTuple):
    """What the log has of a route's day: rows of two tables, writers, and numbers of these that no row has."""

    route: str
    inferences: int
    rewards: int
    writers: int
    lost: int


def count_day(files: LogFiles, day: str) -> list[Counted]:
    """Return what the log has of a day, by route.

    Raises:
        LogUnavailable: the log cannot be read now, or files of the day were removed meanwhile.
    """
    with bounded_connection() as connection, _readable():
        _fill(connection, files, "rows", [day])
        lost: dict[str, int] = {}
        _fill(connection, files, "near", neighbours(day))
        for gap in find_gaps(connection, "rows", "near"):
            lost[gap.route] = lost.get(gap.route, 0) + gap.missing
        counted = connection.execute(_BY_ROUTE).fetchall()
        return [
            Counted(route, inferences, rewards, writers, lost.get(route, 0))
            for route, inferences, rewards, writers in counted
        ]


def _fill(connection: duckdb.DuckDBPyConnection, files: LogFiles, name: str, days: Sequence[str]) -> None:
    """Make a table of the numbers that the rows of some days have."""
    create_rows(connection, name)
    for day in days:
        for table, keys in _keys(files, day).items():
            paths = [files.path(key) for key in keys]
            stored = ds.dataset(
                paths, _COLUMNS, format="parquet", filesystem=files.filesystem, partitioning=_PARTITIONS
            )
            connection.register("stored", stored)
            connection.execute(
                f"INSERT INTO {name} SELECT '{table.name}', route, writer_id, writer_seq, NULL FROM stored"  # noqa: S608  # constants
            )


def _keys(files: LogFiles, day: str) -> Mapping[Table, Sequence[str]]:
    """Return the keys of the files of a day in which each row is once."""
    records = read_records(files, day)
    found = {}
    for table in _TABLES:
        listed = [each.key for of_route in files_of_day(files, table.name, day).values() for each in of_route]
        if listed:
            found[table] = without_copies(listed, records)
    return found


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        raise LogUnavailable(f"The day cannot be counted now: {error}. Try again.") from error
