"""The rows of a segment, by partition: one per instance of a record, per change of a document, and per reward."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa

from inference_log.record import Audit, Record, Reward
from inference_log.rows.audit_rows import audit_table
from inference_log.rows.inference_rows import inference_table
from inference_log.rows.reward_rows import reward_table
from inference_log.schema import AUDIT, INFERENCES, REWARDS, Partition
from inference_log.segment import Segment

_DAY_US = 86_400_000_000


def partition_rows(segment: Segment) -> dict[Partition, pa.Table]:
    """Return the rows of a segment by partition, for every table of the log.

    Raises:
        Exception: of any kind, if the segment holds values that no writer of ours has written.
    """
    return {**_partition_records(segment), **_partition_audits(segment.audits), **_partition_rewards(segment)}


def _partition_records(segment: Segment) -> dict[Partition, pa.Table]:
    """Return the rows of the records by partition, sorted by time."""
    groups: dict[tuple[int, int], list[Record]] = defaultdict(list)
    for record in segment.records:
        groups[record.context, record.event_us // _DAY_US].append(record)
    tables: dict[Partition, list[pa.Table]] = defaultdict(list)
    for (number, day), records in groups.items():
        context = segment.contexts[number]
        partition = Partition(INFERENCES, (context.route, _day_of(day * _DAY_US)))
        tables[partition].append(inference_table(context, records, segment.header.writer_id))
    return {partition: _in_order(parts, "event_ts_us") for partition, parts in tables.items()}


def _partition_rewards(segment: Segment) -> dict[Partition, pa.Table]:
    """Return the rows of the rewards by partition, whose day is that of their arrival, sorted by time."""
    groups: dict[tuple[int, int], list[Reward]] = defaultdict(list)
    for reward in segment.rewards:
        groups[reward.context, reward.arrived_us // _DAY_US].append(reward)
    tables: dict[Partition, list[pa.Table]] = defaultdict(list)
    for (number, day), rewards in groups.items():
        context = segment.reward_contexts[number]
        partition = Partition(REWARDS, (context.route, _day_of(day * _DAY_US)))
        tables[partition].append(reward_table(context, rewards, segment.header.writer_id))
    return {partition: _in_order(parts, "ingested_ts_us") for partition, parts in tables.items()}


def _in_order(parts: Sequence[pa.Table], column: str) -> pa.Table:
    return pa.concat_tables(parts).sort_by(column).combine_chunks()


def _partition_audits(audits: Sequence[Audit]) -> dict[Partition, pa.Table]:
    """Return the rows of the changes by partition, in the order of the segment."""
    days: dict[str, list[Audit]] = defaultdict(list)
    for audit in audits:
        days[_day_of(audit.at_us)].append(audit)
    return {Partition(AUDIT, (day,)): audit_table(of_day) for day, of_day in days.items()}


def _day_of(event_us: int) -> str:
    """Return the UTC day of a time since the epoch as `YYYY-MM-DD`."""
    return datetime.fromtimestamp(event_us // 1_000_000, UTC).strftime("%Y-%m-%d")
