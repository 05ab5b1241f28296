"""The rows of the table `audit`: one per change of a route's document."""

from collections.abc import Sequence

import pyarrow as pa

from inference_log.record import SCHEMA_VERSION, Audit
from inference_log.schema import AUDIT


def audit_table(audits: Sequence[Audit]) -> pa.Table:
    """Return one row for each change, in their order."""
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
