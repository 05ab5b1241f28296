"""Parquet as Athena and Spark read it: version 2.6, zstd, and the segment's sha256 in the footer. Acts on memory."""

import io

import pyarrow as pa
import pyarrow.parquet as pq

from inference_log.errors import SinkConflict

_SEGMENT = b"pointsman.segment_sha256"


def encode(table: pa.Table, segment_sha256: str) -> bytes:
    """The table as one Parquet file."""
    marked = table.replace_schema_metadata({_SEGMENT: segment_sha256.encode()})
    buffer = io.BytesIO()
    pq.write_table(marked, buffer, version="2.6", compression="zstd", compression_level=3, store_schema=False)
    return buffer.getvalue()


def require_same(stored: bytes, offered: bytes, key: str) -> None:
    """Whether two files hold the same segment's rows, as many of them.

    Raises:
        SinkConflict: they do not; a file that cannot be read counts as different.
    """
    if stored == offered:
        return
    try:
        ours, theirs = pq.read_metadata(io.BytesIO(offered)), pq.read_metadata(io.BytesIO(stored))
    except pa.ArrowInvalid as error:
        raise SinkConflict(f"{key} exists and is not a Parquet file: {error}.") from error
    if (ours.num_rows, ours.metadata[_SEGMENT]) != (theirs.num_rows, (theirs.metadata or {}).get(_SEGMENT)):
        raise SinkConflict(f"{key} exists and holds other rows than this segment; the segment is kept.")
