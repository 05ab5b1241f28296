"""Commits compacted days to a table of Iceberg, each route and day as a whole, however often this runs.

The rows are copied: the table owns its files, so whatever maintains it may rewrite or remove them. A commit replaces
what the table has of the route and day. It is left out if the newest snapshot that speaks of them has the checksum of
these rows, or, when that snapshot has expired, if the table has as many rows. So files that were rewritten, and
snapshots that were removed, are no reason to commit again. After a commit the rows are counted: two jobs at the same
time may both have added them, and then they are replaced once more.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.expressions import And, BooleanExpression, EqualTo
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from inference_log.compaction.records import Record, read_records, without_copies
from inference_log.day_files import files_of
from inference_log.errors import LogError
from inference_log.files import LogFiles
from inference_log.schema import INFERENCES

_KEYS = ("route", "dt")
_FILE_ROWS = 200_000
"""The rows of one data file: what is in memory at a time."""
_TRIES = 3


class CommitRefused(LogError):
    """Rows cannot be committed to the table. What was committed before stands."""


class Committed(NamedTuple):
    """What became of a route's day. `is_new` is False if the table had these rows."""

    route: str
    rows: int
    is_new: bool


def commit_day(
    name: str, files: LogFiles, day: str, routes: Sequence[str] = (), progress: Callable[[str], None] = lambda _: None
) -> Iterator[Committed]:
    """Commit the compacted inferences of a day to the table `CATALOG.NAMESPACE.TABLE`, which is made if there is none.

    PyIceberg finds the catalog in its file `.pyiceberg.yaml` or in variables `PYICEBERG_CATALOG__…`.

    Raises:
        CommitRefused: the catalog or the table does not take them.
        LogUnavailable: the log cannot be read now.
    """
    try:
        table = _open(name)
        for record in _compacted(files, day, routes):
            progress(f"committing {record.route}, {day}")
            yield Committed(record.route, record.rows, _commit(table, files, record))
    except LogError:
        raise
    except Exception as error:
        raise CommitRefused(f"{day} cannot be committed to {name}: {error!r}. Run it again.") from error


def _compacted(files: LogFiles, day: str, routes: Sequence[str]) -> Iterator[Record]:
    """Yield the record of each route whose day is compacted as a whole."""
    records = read_records(files, day, INFERENCES.name)
    for route in sorted({each.route for each in records}):
        of_route = [each for each in records if each.route == route]
        stored = [each.key for each in files_of(files, INFERENCES.name, route, day)]
        live = set(without_copies(stored, of_route))
        for record in of_route:
            if live == set(_outputs(record)) and (not routes or route in routes):
                yield record


def _outputs(record: Record) -> list[str]:
    return [key for key in record.outputs if key.startswith(f"{INFERENCES.name}/")]


def _open(name: str) -> Table:
    catalog_name, _, identifier = name.partition(".")
    if "." not in identifier:
        raise CommitRefused(f"{name} names no table; write CATALOG.NAMESPACE.TABLE.")
    catalog = load_catalog(catalog_name)
    schema = pa.schema([*INFERENCES.columns, *((key, pa.string()) for key in _KEYS)])
    if not catalog.table_exists(identifier):
        return _create(catalog, identifier, schema)
    table = catalog.load_table(identifier)
    if not set(schema.names) <= set(table.schema().column_names):
        with table.update_schema() as update:
            update.union_by_name(schema)
    return table


def _create(catalog: Catalog, identifier: str, schema: pa.Schema) -> Table:
    catalog.create_namespace_if_not_exists(identifier.rpartition(".")[0])
    table = catalog.create_table(identifier, schema)
    with table.update_spec() as update:
        for key in _KEYS:
            update.add_identity(key)
    return table


def _commit(table: Table, files: LogFiles, record: Record) -> bool:
    """Return True if the rows were committed, and False if the table had them.

    Raises:
        CommitRefused: other writers came in between again and again.
    """
    where = And(EqualTo(term="route", value=record.route), EqualTo(term="dt", value=record.day))
    name = f"pointsman.{record.route}.{record.day}"
    for attempt in range(_TRIES):
        table.refresh()
        said = next((each for each in _history(table) if name in each), None)
        rows = _count(table, where)
        is_known = said is not None and said[name] == record.checksum
        # Fewer rows: they were deleted on purpose, such as those of a person. More: two jobs have added them.
        if (is_known and rows <= record.rows) or (said is None and rows == record.rows):
            return attempt > 0
        try:
            _replace(table, files, record, where, {name: record.checksum}, has_rows=rows > 0)
        except CommitFailedException:
            continue
    table.refresh()
    if _count(table, where) != record.rows:
        raise CommitRefused(f"Other writers change {record.route}, {record.day} in the table. Run it again.")
    return True


def _replace(
    table: Table, files: LogFiles, record: Record, where: BooleanExpression, said: dict[str, str], *, has_rows: bool
) -> None:
    """Put the rows of a record in the place of what the table has of its route and day, in one commit."""
    with table.transaction() as transaction:
        if has_rows:
            transaction.delete(where)
        for rows in _tables(files, record):
            transaction.append(rows, snapshot_properties=said)


def _tables(files: LogFiles, record: Record) -> Iterator[pa.Table]:
    """Yield the rows of a record, with the keys of their partition, some at a time."""
    for key in _outputs(record):
        with pq.ParquetFile(files.path(key), filesystem=files.filesystem) as file:
            waiting: list[pa.RecordBatch] = []
            for batch in file.iter_batches():
                waiting.append(batch)
                if sum(each.num_rows for each in waiting) >= _FILE_ROWS:
                    yield _with_keys(waiting, record)
                    waiting = []
            if waiting:
                yield _with_keys(waiting, record)


def _with_keys(batches: Sequence[pa.RecordBatch], record: Record) -> pa.Table:
    table = pa.Table.from_batches(batches)
    table = table.select([name for name in INFERENCES.columns.names if name in table.column_names])
    for name, value in zip(_KEYS, (record.route, record.day), strict=True):
        table = table.append_column(name, pa.repeat(pa.scalar(value), len(table)))
    return table


def _count(table: Table, where: BooleanExpression) -> int:
    return table.scan(row_filter=where, selected_fields=("route",)).count()


def _history(table: Table) -> Iterator[dict[str, Any]]:
    """Yield what the snapshots say that the table is made of, the newest first."""
    snapshots = {each.snapshot_id: each for each in table.metadata.snapshots}
    at: Snapshot | None = table.current_snapshot()
    while at is not None:
        yield dict(at.summary.additional_properties) if at.summary is not None else {}
        at = snapshots.get(at.parent_snapshot_id) if at.parent_snapshot_id is not None else None
