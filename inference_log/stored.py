"""The rows of a table that are Parquet, as a dataset that DuckDB reads from a directory or from S3.

DuckDB hands its filters to PyArrow. A file whose partition they exclude is not opened, and of the others the columns
are read that a query names. The schema is that of this release: what an older file lacks is null.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import and_

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from inference_log.files import LogFiles, StoredFile
from inference_log.schema import Table

_SUFFIX = ".parquet"
Keys = tuple[str, ...]
"""The values of a table's keys."""


def schema_with_keys(table: Table) -> pa.Schema:
    """Return the columns of a table, and after them its keys."""
    return pa.schema([*table.columns, *(pa.field(key, pa.string()) for key in table.keys)])


def stored_by_keys(files: LogFiles, table: Table, route: str | None = None) -> dict[Keys, list[StoredFile]]:
    """Return the Parquet files of a table, of one route or of all, by the values of its keys, in order.

    Raises:
        LogUnavailable: the log cannot be read now.
    """
    of_route = f"route={route}/" if route is not None and table.keys[0] == "route" else ""
    found: dict[Keys, list[StoredFile]] = {}
    for file in files.list(f"{table.name}/{of_route}"):
        folders = [each.partition("=") for each in file.key.split("/")[1:-1]]
        if file.key.endswith(_SUFFIX) and tuple(name for name, _, _ in folders) == table.keys:
            found.setdefault(tuple(value for _, _, value in folders), []).append(file)
    return found


def dataset(files: LogFiles, table: Table, stored: Mapping[Keys, Iterable[StoredFile]]) -> ds.Dataset:
    """Return the rows of some of a table's files."""
    form = ds.ParquetFileFormat()
    fragments = [
        form.make_fragment(files.path(file.key), files.filesystem, _has(table.keys, values))
        for values, of_partition in stored.items()
        for file in of_partition
    ]
    return ds.FileSystemDataset(fragments, schema_with_keys(table), form, files.filesystem)


def _has(keys: Sequence[str], values: Keys) -> pc.Expression:
    """Return the expression that holds for all rows of a partition."""
    return reduce(and_, (pc.field(key) == value for key, value in zip(keys, values, strict=True)))
