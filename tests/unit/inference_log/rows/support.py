"""Segments made of contexts and records, and their rows."""

import pyarrow as pa

from inference_log.record import Audit, Context, Record, SegmentHeader
from inference_log.rows import partition_rows
from inference_log.schema import Partition
from inference_log.segment import Segment

NOON_US = 1_767_268_800_000_000  # 2026-01-01T12:00:00Z


def tables_of(
    contexts: list[Context], records: list[Record], audits: list[Audit] | None = None
) -> dict[Partition, pa.Table]:
    numbered = {context.number: context for context in contexts}
    header = SegmentHeader("w", 0)
    return partition_rows(Segment(header, numbered, records, audits or [], 0, {}, [], [], []))


def rows_of(contexts: list[Context], records: list[Record]) -> list[dict]:
    """Return the rows of records that all belong to one partition."""
    (table,) = tables_of(contexts, records).values()
    return [dict(row) for row in table.to_pylist(maps_as_pydicts="strict")]
