"""The rows of the table `policies`: one per policy that a bandit has learned."""

from collections.abc import Sequence

import pyarrow as pa

from inference_log.record import SCHEMA_VERSION, Learned
from inference_log.schema import POLICIES


def policy_table(learned: Sequence[Learned]) -> pa.Table:
    """Return one row for each policy, in their order."""
    columns = {
        "learned_ts": [each.at_us // 1000 for each in learned],
        "learned_ts_us": [each.at_us for each in learned],
        "schema_version": [SCHEMA_VERSION] * len(learned),
        "weights": [list(each.weights.items()) for each in learned],
    }
    for name in ("declared_us", "number", "since_version", "content"):
        columns[name] = [getattr(each, name) for each in learned]
    return pa.table([pa.array(columns[field.name], field.type) for field in POLICIES.columns], schema=POLICIES.columns)
