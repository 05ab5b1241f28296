"""Parquet files in memory."""

import io

import pyarrow as pa

from inference_log.parquet import open_writer


def encode(table: pa.Table, segment_sha256: str) -> bytes:
    """Return the table as one Parquet file of the log."""
    buffer = io.BytesIO()
    with open_writer(buffer, table.schema, segment_sha256) as writer:
        writer.write_table(table)
    return buffer.getvalue()
