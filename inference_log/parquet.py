"""Parquet files for Athena and Spark: version 2.6, zstd, with the segment's sha256 in the footer."""

from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from inference_log.errors import SinkConflict

_SEGMENT = "pointsman.segment_sha256"


def open_writer(file: Path | IO[bytes], columns: pa.Schema, segment_sha256: str) -> pq.ParquetWriter:
    """Return a writer of one Parquet file. Each table that is written becomes row groups of its own."""
    options = {"version": "2.6", "compression": "zstd", "compression_level": 3, "store_schema": False}
    writer = pq.ParquetWriter(file, columns, **options)
    writer.add_key_value_metadata({_SEGMENT: segment_sha256})
    return writer


def require_same(stored: Path | IO[bytes], offered: Path | IO[bytes], key: str) -> None:
    """Raise unless two files hold the same number of rows of the same segment.

    Raises:
        SinkConflict: they do not. A file that cannot be read counts as different.
    """
    try:
        same = _identity(stored) == _identity(offered)
    except (pa.ArrowException, OSError) as error:
        raise SinkConflict(f"{key} exists and is not a Parquet file: {error}.") from error
    if not same:
        raise SinkConflict(f"{key} exists and holds other rows than this segment; the segment is kept.")


def rows_of(file: Path) -> int:
    """Return the number of rows of a Parquet file."""
    rows: int = pq.read_metadata(file).num_rows
    return rows


def _identity(file: Path | IO[bytes]) -> tuple[int, bytes | None]:
    """Return the number of rows of a file, and the sha256 of their segment."""
    footer = pq.read_metadata(file)
    return footer.num_rows, (footer.metadata or {}).get(_SEGMENT.encode())
