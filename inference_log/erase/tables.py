"""The rows of one unit in the Parquet files of one table: found, and removed by writing the file anew."""

import hashlib
import io
from collections.abc import Collection, Iterator
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from inference_log.errors import LogUnavailable
from inference_log.file_names import PARQUET, parquet_name, segment_of
from inference_log.files import LogFiles
from inference_log.parquet import open_writer

_ERASED = "erased"
"""Stands in a file's footer in place of the digest of its segment, whose rows it no longer has all."""


class Rewritten(NamedTuple):
    """A file before and after: `rows` of which `removed` were the unit's. `new_key` is empty if none is left."""

    key: str
    new_key: str
    rows: int
    removed: int


def files_of(files: LogFiles, table: str, route: str | None) -> list[str]:
    """Return the keys of a table's Parquet files, of one route or of all. Raises what `LogFiles.list` raises."""
    below = f"{table}/" if route is None else f"{table}/route={route}/"
    return [each.key for each in files.list(below) if each.key.endswith(PARQUET)]


def decisions_of(files: LogFiles, key: str, unit_hash: str) -> set[str]:
    """Return the decisions of a unit in a file of `inferences`.

    Raises:
        LogUnavailable: the file cannot be read.
    """
    table = _read(files, key, ["unit_hash", "decision_id"])
    return set(table.filter(pc.equal(table["unit_hash"], unit_hash)).column("decision_id").to_pylist())


def count_of(files: LogFiles, key: str, column: str, values: Collection[str]) -> int:
    """Return how many rows of a file have one of some values. Raises like `decisions_of`."""
    return int(pc.sum(_is_in(_read(files, key, [column]), column, values)).as_py() or 0)


def remove_rows(files: LogFiles, key: str, column: str, values: Collection[str]) -> Rewritten | None:
    """Replace a file by one without the rows that have one of some values; return None if there are none.

    The new file is read back and its rows are counted before the old one is removed.

    Raises:
        LogUnavailable: the file cannot be read or written, or what was written is not what should be there.
    """
    removed = count_of(files, key, column, values)
    if not removed:
        return None
    rows, content = _without(files, key, column, values)
    new_key = ""
    if rows > removed:
        new_key = f"{key.rpartition('/')[0]}/{parquet_name(segment_of(key), hashlib.sha256(content).hexdigest())}"
        files.write(new_key, content)
        left = _read(files, new_key, [column])
        if len(left) != rows - removed or count_of(files, new_key, column, values):
            raise LogUnavailable(f"{files.path(new_key)} is not what was written; {key} is kept. Run it again.")
    files.remove(key)
    return Rewritten(key, new_key, rows, removed)


def _without(files: LogFiles, key: str, column: str, values: Collection[str]) -> tuple[int, bytes]:
    """Return the rows of a file, and the content of one without some; each row group stays one."""
    buffer = io.BytesIO()
    try:
        with pq.ParquetFile(files.path(key), filesystem=files.filesystem) as file:
            with open_writer(buffer, file.schema_arrow, _ERASED) as writer:
                for table in _groups(file):
                    kept = table.filter(pc.invert(_is_in(table, column, values)))
                    if len(kept):
                        writer.write_table(kept)
            return file.metadata.num_rows, buffer.getvalue()
    except (pa.ArrowException, OSError) as error:
        raise LogUnavailable(f"{files.path(key)} cannot be read: {error}.") from error


def _groups(file: pq.ParquetFile) -> Iterator[pa.Table]:
    for group in range(file.num_row_groups):
        yield file.read_row_group(group)


def _is_in(table: pa.Table, column: str, values: Collection[str]) -> pa.ChunkedArray:
    return pc.is_in(table[column], value_set=pa.array(sorted(values), pa.string()))


def _read(files: LogFiles, key: str, columns: list[str]) -> pa.Table:
    try:
        with pq.ParquetFile(files.path(key), filesystem=files.filesystem) as file:
            return file.read(columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise LogUnavailable(f"{files.path(key)} cannot be read: {error}.") from error
