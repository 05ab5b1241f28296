"""Parquet files for Athena and Spark: version 2.6, zstd, with the segment's sha256 in the footer."""

import io

import pyarrow as pa
import pyarrow.parquet as pq

from inference_log.errors import SinkConflict

_SEGMENT = "pointsman.segment_sha256"


def encode(table: pa.Table, segment_sha256: str) -> bytes:
    """Return the table as one Parquet file."""
    buffer = io.BytesIO()
    options = {"version": "2.6", "compression": "zstd", "compression_level": 3, "store_schema": False}
    with pq.ParquetWriter(buffer, table.schema, **options) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({_SEGMENT: segment_sha256})
    return buffer.getvalue()


def require_same(stored: bytes, offered: bytes, key: str) -> None:
    """Raise unless two files hold the same number of rows of the same segment.

    Raises:
        SinkConflict: they do not. A file that cannot be read counts as different.
    """
    if stored == offered:
        return
    try:
        same = _identity(stored) == _identity(offered)
    except (pa.ArrowException, OSError) as error:
        raise SinkConflict(f"{key} exists and is not a Parquet file: {error}.") from error
    if not same:
        raise SinkConflict(f"{key} exists and holds other rows than this segment; the segment is kept.")


def _identity(content: bytes) -> tuple[int, bytes | None]:
    """Return the number of rows of a file, and the sha256 of their segment."""
    footer = pq.read_metadata(io.BytesIO(content))
    return footer.num_rows, (footer.metadata or {}).get(_SEGMENT.encode())
