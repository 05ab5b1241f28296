"""The rows of some Parquet files, each once, as the view `rows` of a DuckDB. Also checksums of rows.

A checksum is the number of rows and, for each column, the sum of the hashes of its values. It does not depend on the
order of the rows.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb

from inference_log.compaction.shapes import Shape

_PLACE = "filename, file_row_number"
_VIEW = """
CREATE OR REPLACE VIEW rows AS SELECT * EXCLUDE ({place}) FROM (
    FROM read_parquet({files}, union_by_name = true, hive_partitioning = false, filename = true, file_row_number = true)
)
"""
_ONCE = "QUALIFY row_number() OVER (PARTITION BY {identity} ORDER BY {order}, {place}) = 1"


class Checksum(NamedTuple):
    """The number of rows, and a sum for each column."""

    rows: int
    sums: Mapping[str, int]

    @property
    def text(self) -> str:
        """Return 32 hexadecimal digits that stand for all of it."""
        said = repr((self.rows, sorted(self.sums.items())))
        return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()


def show_rows(connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], shape: Shape) -> int:
    """Make the view `rows`, with each row of the files once. Return how many rows there are more than once."""
    view = _VIEW.format(files=listed(paths), place=_PLACE)
    connection.execute(view)
    count = f"SELECT count(*), count(DISTINCT ({shape.identity})) FROM rows"  # noqa: S608  # constants
    rows, different = connection.execute(count).fetchall()[0]
    if rows != different:
        connection.execute(view + _ONCE.format(identity=shape.identity, order=shape.order, place=_PLACE))
    return int(rows - different)


def columns_of(connection: duckdb.DuckDBPyConnection, relation: str) -> list[str]:
    """Return the names of the columns of a relation."""
    return [name for name, *_ in connection.execute(f"DESCRIBE FROM {relation}").fetchall()]


def checksum(connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[str]) -> Checksum:
    """Return the checksum of some columns of a relation."""
    sums = ", ".join(f"sum(hash({quoted(name)}))" for name in columns)
    query = f"SELECT count(*), {sums} FROM {relation}"  # noqa: S608  # names are quoted
    rows, *values = connection.execute(query).fetchall()[0]
    return Checksum(rows, {name: int(value or 0) for name, value in zip(columns, values, strict=True)})


def stored(paths: Sequence[Path]) -> str:
    """Return the SQL of a relation of the rows of files, in their order."""
    return f"read_parquet({listed(paths)}, hive_partitioning = false)"


def listed(paths: Sequence[Path]) -> str:
    """Return paths as a list in SQL."""
    return "[" + ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths) + "]"


def quoted(name: str) -> str:
    """Return the name of a column as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'
