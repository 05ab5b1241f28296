"""Turns the changes that a segment notes into rows, one per change, day by day. Decides."""

from collections import defaultdict
from collections.abc import Sequence

import pyarrow as pa

from inference_log.record import SCHEMA_VERSION, Audit
from inference_log.rows import day_of
from inference_log.schema import AUDIT, Partition


def partition_audits(audits: Sequence[Audit]) -> dict[Partition, pa.Table]:
    """The rows by partition, in the order in which they were noted."""
    days: dict[str, list[Audit]] = defaultdict(list)
    for audit in audits:
        days[day_of(audit.at_us)].append(audit)
    return {Partition(AUDIT, (day,)): _table(noted) for day, noted in days.items()}


def _table(audits: Sequence[Audit]) -> pa.Table:
    columns = {
        "changed_ts": [audit.at_us // 1000 for audit in audits],
        "changed_ts_us": [audit.at_us for audit in audits],
        "schema_version": [SCHEMA_VERSION] * len(audits),
        "replica": [audit.by for audit in audits],
        "weights": [list(audit.weights.items()) for audit in audits],
    }
    for name in ("number", "route", "version", "who", "what", "why", "phase", "document"):
        columns[name] = [getattr(audit, name) for audit in audits]
    return pa.table([pa.array(columns[field.name], field.type) for field in AUDIT.columns], schema=AUDIT.columns)
