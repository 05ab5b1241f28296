"""The format on disk: arrays with a leading tag. A new field may only be added at the end, with a default."""

import msgspec

from inference_log.record import SCHEMA_VERSION, Audit, Comparison, Context, Record, SegmentHeader

# Only append to these. A later version of this program may read a segment of an earlier one.
_HEADER = ("writer_id", "sequence", "schema_version")
_CONTEXT = (
    "number", "route", "arm", "role", "policy_kind", "policy_version", "snapshot_hash", "weights", "model_name",
    "model_version", "model_digest", "features", "inputs", "label", "prediction", "slower_than_us", "against",
)  # fmt: skip
_RECORD = (
    "context", "writer_seq", "decision_id", "attempt", "event_us", "reason", "propensity", "unit_hash", "status",
    "outcome", "error_code", "latency_us", "model_us", "batch_size", "request_id", "trace_id", "inputs", "outputs",
    "comparison",
)  # fmt: skip
_COMPARISON = ("pairs", "flips", "difference", "difference_squared", "delay_us")
_AUDIT = ("number", "route", "version", "at_us", "who", "what", "why", "by", "phase", "weights", "document")
_ENTRIES = (
    (SegmentHeader, _HEADER),
    (Context, _CONTEXT),
    (Record, _RECORD),
    (Comparison, _COMPARISON),
    (Audit, _AUDIT),
)


def test_fields_keep_their_places():
    for entry, fields in _ENTRIES:
        assert entry.__struct_fields__[: len(fields)] == fields


def test_fields_added_later_have_defaults():
    for entry, fields in _ENTRIES:
        added = len(entry.__struct_fields__) - len(fields)
        assert len(entry.__struct_defaults__) >= added


def test_entries_are_tagged_arrays(make_context, make_record, make_audit):
    for tag, entry in enumerate((SegmentHeader("w", 7), make_context(), make_record(), make_audit())):
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(entry))[0] == tag
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(SegmentHeader("w", 7))) == [0, "w", 7, SCHEMA_VERSION, ""]
