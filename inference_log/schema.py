"""The columns of the table `inferences`, for Parquet and Athena. Decides.

Athena's timestamps have milliseconds, so the exact microseconds stand beside them as an integer. Columns are only
ever added. `route` and `dt` (the UTC day of the event) are partition keys: they stand in the path, not in the file.
"""

import pyarrow as pa

TABLE = "inferences"

INFERENCES = pa.schema(
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
        ("propensity", pa.float64()),
        ("weights", pa.map_(pa.string(), pa.float64())),
        ("unit_hash", pa.string()),
        ("model_name", pa.string()),
        ("model_version", pa.string()),
        ("model_digest", pa.string()),
        ("instance_index", pa.int32()),
        ("batch_size", pa.int32()),
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
    ]
)
PARTITION_KEYS = (("route", pa.string()), ("dt", pa.string()))
