"""The tables of the log and their columns, for Parquet and Athena.

Athena's timestamps have milliseconds, so another column has the exact microseconds as an integer. Columns are only ever
added, at the end. Partition keys are strings in the path, not in the file. `dt` is the UTC day of the event.
"""

from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A table, partitioned by `keys`. Of rows with equal `identity` columns only the first by `order` counts.

    Rows with equal `identity` have equal values of the keys `shared`, so a filter by these may go before.
    """

    name: str
    columns: pa.Schema
    keys: tuple[str, ...]
    identity: tuple[str, ...]
    order: str
    shared: tuple[str, ...] = ()


class Partition(NamedTuple):
    """The place of rows: a table and a value for each of its keys."""

    table: Table
    values: tuple[str, ...]

    @property
    def path(self) -> str:
        """The folder below the log, in Hive's form `key=value`."""
        keys = zip(self.table.keys, self.values, strict=True)
        return "/".join([self.table.name, *(f"{key}={value}" for key, value in keys)])


INFERENCES = Table(
    name="inferences",
    keys=("route", "dt"),
    identity=("inference_id",),
    order="writer_seq",
    shared=("route", "dt"),
    columns=pa.schema(
        [
            ("inference_id", pa.string()),
            ("decision_id", pa.string()),
            ("event_ts", pa.timestamp("ms")),
            ("event_ts_us", pa.int64()),
            ("schema_version", pa.int32()),
            ("arm", pa.string()),
            ("role", pa.string()),
            ("reason", pa.string()),
            ("policy_kind", pa.string()),
            ("policy_version", pa.int64()),
            ("snapshot_hash", pa.string()),
            # The share of the slots that the arm had then: the probability of the draw; null if it was not drawn. For
            # a request with a unit (reason STICKY) it is the marginal one: given the unit's earlier requests, the
            # probability of its arm is 0 or 1. So use it once for each unit (`first_exposures`).
            ("propensity", pa.float64()),
            # The weights of the arms for this request. Where they depend on the request, rows of earlier releases have
            # those of an average one.
            ("weights", pa.map_(pa.string(), pa.float64())),
            ("unit_hash", pa.string()),
            ("model_name", pa.string()),
            ("model_version", pa.string()),
            ("model_digest", pa.string()),
            ("instance_index", pa.int32()),
            ("batch_size", pa.int32()),
            # Which share of the instances of a route has its values here. Null if the request is not in the sample of
            # its route: such a row has no values. So `sum(1 / sampling_rate)` counts instances.
            ("sampling_rate", pa.float64()),
            ("status", pa.int32()),
            ("outcome", pa.string()),
            ("error_code", pa.string()),
            ("latency_ms", pa.float64()),
            ("model_latency_ms", pa.float64()),
            ("features_num", pa.map_(pa.string(), pa.float64())),
            ("prediction", pa.list_(pa.float64())),
            ("predicted_label", pa.string()),
            ("request_id", pa.string()),
            ("trace_id", pa.string()),
            ("writer_id", pa.string()),
            ("writer_seq", pa.int64()),
            ("compared_with", pa.string()),
            ("label_flips", pa.int32()),
            ("mean_difference", pa.float64()),
            ("values_omitted", pa.bool_()),
            # The texts of an instance by the name of their input. Bytes that are not UTF-8 are U+FFFD.
            ("features_cat", pa.map_(pa.string(), pa.string())),
            # Of the table `policies`: the learned policy whose weights these are; null if none was learned.
            ("policy_number", pa.int64()),
            # What a contextual bandit saw of the request: features in [0, 1], multiples of 1/8192; null without one.
            ("context", pa.list_(pa.float64())),
            # The id of the API key, or the subject of the token; null without access control.
            ("caller", pa.string()),
            # The protocol by which the request came: v2, v1, grpc, invocations.
            ("door", pa.string()),
            # What the caller has put into the header x-tags.
            ("tags", pa.map_(pa.string(), pa.string())),
            # How long the request waited in the lane until its batch began; null if none began.
            ("queue_ms", pa.float64()),
            ("cached", pa.bool_()),
            # The setting POINTSMAN_CLUSTER of the gateway; null if it is not set.
            ("cluster", pa.string()),
            # Which rules of redaction the values went through, as a hash; null if the route has none.
            ("redaction", pa.string()),
        ]
    ),
)

AUDIT = Table(
    name="audit",
    keys=("dt",),
    identity=("route", "version", "changed_ts_us"),
    order="number",
    shared=("dt",),
    columns=pa.schema(
        [
            ("number", pa.int64()),
            ("route", pa.string()),
            ("version", pa.int64()),
            ("changed_ts", pa.timestamp("ms")),
            ("changed_ts_us", pa.int64()),
            ("schema_version", pa.int32()),
            ("who", pa.string()),
            ("what", pa.string()),
            ("why", pa.string()),
            ("replica", pa.string()),
            ("phase", pa.string()),
            ("weights", pa.map_(pa.string(), pa.float64())),
            ("document", pa.string()),
        ]
    ),
)

REWARDS = Table(
    name="rewards",
    keys=("route", "dt"),
    identity=("reward_id",),
    order="ingested_ts_us, writer_seq",
    shared=("route",),  # `dt` is the day of arrival, and a reward may be repeated on another one
    columns=pa.schema(
        [
            ("reward_id", pa.string()),
            ("decision_id", pa.string()),
            ("metric", pa.string()),
            ("event_id", pa.string()),
            ("op", pa.string()),
            ("value", pa.float64()),
            ("label", pa.string()),
            ("reward_ts", pa.timestamp("ms")),
            ("reward_ts_us", pa.int64()),
            ("ingested_ts", pa.timestamp("ms")),
            ("ingested_ts_us", pa.int64()),
            ("schema_version", pa.int32()),
            # When the request of the decision arrived, and the partition `dt` of its rows in `inferences`.
            ("decision_ts_us", pa.int64()),
            ("inference_dt", pa.string()),
            ("late", pa.bool_()),
            ("source", pa.string()),
            ("arm", pa.string()),
            ("policy_version", pa.int64()),
            ("model_version", pa.string()),
            ("propensity", pa.float64()),
            ("unit_group", pa.int32()),
            ("latency_us", pa.int64()),
            ("declared_us", pa.int64()),
            ("writer_id", pa.string()),
            ("writer_seq", pa.int64()),
            ("weights", pa.map_(pa.string(), pa.float64())),
        ]
    ),
)

POLICIES = Table(
    name="policies",
    keys=("route", "dt"),
    identity=("declared_us", "number", "content"),
    order="learned_ts_us",
    shared=("route",),
    columns=pa.schema(
        [
            ("declared_us", pa.int64()),
            ("number", pa.int64()),
            ("since_version", pa.int64()),
            ("learned_ts", pa.timestamp("ms")),
            ("learned_ts_us", pa.int64()),
            ("schema_version", pa.int32()),
            ("weights", pa.map_(pa.string(), pa.float64())),
            ("content", pa.string()),
        ]
    ),
)

_BODY = (
    ("", pa.binary()),
    # Its whole size; if it is cut, the log has only the beginning.
    ("_bytes", pa.int64()),
    ("_cut", pa.bool_()),
    ("_type", pa.string()),
    ("_encoding", pa.string()),
    # The length of the JSON before the bytes of tensors, in V2's binary form.
    ("_json_bytes", pa.int64()),
)

PAYLOADS = Table(
    name="payloads",
    keys=("route", "dt"),
    identity=("decision_id",),
    order="answered_ts_us",
    columns=pa.schema(
        [
            ("decision_id", pa.string()),
            ("answered_ts", pa.timestamp("ms")),
            ("answered_ts_us", pa.int64()),
            ("schema_version", pa.int32()),
            ("door", pa.string()),
            ("status", pa.int32()),
            *((f"request{name}", kind) for name, kind in _BODY),
            *((f"response{name}", kind) for name, kind in _BODY),
            ("writer_id", pa.string()),
        ]
    ),
)

# What the log has of a route's day, when no machine has more of it (`inference_log.completeness`).
CLOSED = Table(
    name="closed",
    keys=("dt",),
    identity=("route", "dt"),
    order="closed_ts_us DESC",
    columns=pa.schema(
        [
            ("route", pa.string()),
            ("inferences", pa.int64()),
            ("rewards", pa.int64()),
            ("writers", pa.int64()),
            ("lost", pa.int64()),
            ("late", pa.int64()),
            ("away", pa.int64()),
            ("closed_ts", pa.timestamp("ms")),
            ("closed_ts_us", pa.int64()),
        ]
    ),
)

TABLES = (INFERENCES, AUDIT, REWARDS, POLICIES, PAYLOADS, CLOSED)
