"""Parquet files in memory, and whether a segment is open."""

import io
from pathlib import Path

import pyarrow as pa

from inference_log.parquet import open_writer
from inference_log.segment_lock import claimed


def encode(table: pa.Table, segment_sha256: str) -> bytes:
    """Return the table as one Parquet file of the log."""
    buffer = io.BytesIO()
    with open_writer(buffer, table.schema, segment_sha256) as writer:
        writer.write_table(table)
    return buffer.getvalue()


def is_open(path: Path) -> bool:
    """Return True if a writer has the segment open."""
    with claimed(path) as is_closed:
        return not is_closed
