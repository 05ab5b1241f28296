"""The rows of a segment, by partition.

There is one per instance of a record, per change of a document, per reward, and per policy that was learned.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import pyarrow as pa

from inference_log.payload import Payload
from inference_log.record import Audit, Context, Learned, Record, Reward, RewardContext, SegmentHeader
from inference_log.rows.audit_rows import audit_table
from inference_log.rows.inference_rows import inference_table
from inference_log.rows.payload_rows import payload_table
from inference_log.rows.policy_rows import policy_table
from inference_log.rows.reward_rows import reward_table
from inference_log.schema import AUDIT, INFERENCES, PAYLOADS, POLICIES, REWARDS, Partition, Table
from inference_log.segment import Segment

_DAY_US = 86_400_000_000
_Entry = TypeVar("_Entry", Record, Reward)
_Context = TypeVar("_Context", Context, RewardContext)
_Groups = dict[tuple[int, int], list[_Entry]]
"""Entries by the number of their context, and by their day."""
Wants = Callable[[Partition], bool]


def _all(_: Partition) -> bool:
    return True


def partition_rows(segment: Segment, wants: Wants = _all) -> dict[Partition, pa.Table]:
    """Return the rows of a segment by partition, for every table of the log.

    Rows of requests and rewards are left out where `wants` returns False. To make them takes most of the time.

    Raises:
        Exception: of any kind, if the segment holds values that no writer of ours has written.
    """
    return {
        **_partition_records(segment, wants),
        **_partition_audits(segment.audits),
        **_partition_rewards(segment, wants),
        **_partition_learned(segment.learned),
        **_partition_payloads(segment),
    }


def with_keys(partition: Partition, rows: pa.Table) -> pa.Table:
    """Return rows with the keys of their partition as columns."""
    for key, value in zip(partition.table.keys, partition.values, strict=True):
        rows = rows.append_column(key, pa.repeat(pa.scalar(value, pa.string()), rows.num_rows))
    return rows


def _partition_records(segment: Segment, wants: Wants) -> dict[Partition, pa.Table]:
    """Return the rows of the records by partition, sorted by time."""
    groups: _Groups[Record] = defaultdict(list)
    for record in segment.records:
        groups[record.context, record.event_us // _DAY_US].append(record)
    return _partitioned(segment, groups, segment.contexts, INFERENCES, "event_ts_us", inference_table, wants)


def _partition_rewards(segment: Segment, wants: Wants) -> dict[Partition, pa.Table]:
    """Return the rows of the rewards by partition, whose day is that of their arrival, sorted by time."""
    groups: _Groups[Reward] = defaultdict(list)
    for reward in segment.rewards:
        groups[reward.context, reward.arrived_us // _DAY_US].append(reward)
    return _partitioned(segment, groups, segment.reward_contexts, REWARDS, "ingested_ts_us", _reward_rows, wants)


def _reward_rows(context: RewardContext, rewards: Sequence[Reward], header: SegmentHeader) -> pa.Table:
    return reward_table(context, rewards, header.writer_id)


def _partitioned(
    segment: Segment,
    groups: _Groups[_Entry],
    contexts: Mapping[int, _Context],
    table: Table,
    sorted_by: str,
    rows_of: Callable[[_Context, list[_Entry], SegmentHeader], pa.Table],
    wants: Wants,
) -> dict[Partition, pa.Table]:
    """Return the rows of entries by route and day, given the entries by context and day."""
    parts: dict[Partition, list[pa.Table]] = defaultdict(list)
    for (number, day), entries in groups.items():
        context = contexts[number]
        partition = Partition(table, (context.route, _day_of(day * _DAY_US)))
        if wants(partition):
            parts[partition].append(rows_of(context, entries, segment.header))
    return {
        partition: pa.concat_tables(of_one).sort_by(sorted_by).combine_chunks() for partition, of_one in parts.items()
    }


def _partition_audits(audits: Sequence[Audit]) -> dict[Partition, pa.Table]:
    """Return the rows of the changes by partition, in the order of the segment."""
    days: dict[str, list[Audit]] = defaultdict(list)
    for audit in audits:
        days[_day_of(audit.at_us)].append(audit)
    return {Partition(AUDIT, (day,)): audit_table(of_day) for day, of_day in days.items()}


def _partition_learned(learned: Sequence[Learned]) -> dict[Partition, pa.Table]:
    """Return the rows of the learned policies by partition, in the order of the segment."""
    parts: dict[tuple[str, str], list[Learned]] = defaultdict(list)
    for each in learned:
        parts[each.route, _day_of(each.at_us)].append(each)
    return {Partition(POLICIES, values): policy_table(of_one) for values, of_one in parts.items()}


def _partition_payloads(segment: Segment) -> dict[Partition, pa.Table]:
    """Return the rows of the kept bodies by partition, in the order of the segment."""
    parts: dict[tuple[str, str], list[Payload]] = defaultdict(list)
    for each in segment.payloads:
        parts[each.route, _day_of(each.at_us)].append(each)
    return {Partition(PAYLOADS, values): payload_table(of_one, segment.header) for values, of_one in parts.items()}


def _day_of(event_us: int) -> str:
    """Return the UTC day of a time since the epoch as `YYYY-MM-DD`."""
    return datetime.fromtimestamp(event_us // 1_000_000, UTC).strftime("%Y-%m-%d")
