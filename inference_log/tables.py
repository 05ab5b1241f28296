"""Everything that a segment holds, as rows of the log's tables. Decides."""

import pyarrow as pa

from inference_log.audit_rows import partition_audits
from inference_log.rows import partition_rows
from inference_log.schema import Partition
from inference_log.segment import Segment


def partitions_of(segment: Segment) -> dict[Partition, pa.Table]:
    """The rows of a segment by partition, those of every table.

    Raises:
        Exception: whatever bytes provoke that no writer of ours has written.
    """
    return {**partition_rows(segment), **partition_audits(segment.audits)}
