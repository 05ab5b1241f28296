"""The rows of the table `inferences`: one per instance of a request.

Records of one context have the same columns, so NumPy lays out all of them together. Only values that differ from
record to record are handled in Python.
"""

from collections.abc import Sequence
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from bandits.errors import BanditError
from bandits.linear.context import SCALE
from bandits.linear.packed import unpack
from inference_log import request_slots
from inference_log.record import SCHEMA_VERSION, Context, Record, SegmentHeader
from inference_log.rows.categories import categories
from inference_log.schema import INFERENCES
from inference_log.values import STRINGS, elements, floats, kept_instances
from router.draw.assignment import BUCKETS

_MILLION = 1e6
_WEIGHTS = pa.map_(pa.string(), pa.float64())


def inference_table(context: Context, records: Sequence[Record], header: SegmentHeader) -> pa.Table:
    """Return the rows of records of one context. A request without instances, or a rejected one, is still one row."""
    schema = INFERENCES.columns
    sizes = np.array([max(_instances(record), 1) for record in records])
    total = int(sizes.sum())
    record_of_row = np.repeat(np.arange(len(records)), sizes)
    instance = _instance_index(records, sizes)

    def per_record(name: str) -> pa.Array:
        return per_row([getattr(record, name) for record in records], _RECORD_TYPES.get(name))

    def per_row(values: Sequence[Any], kind: pa.DataType | None = None) -> pa.Array:
        array = pa.array(values, kind)
        return array.take(pa.array(record_of_row)) if total != len(records) else array

    def constant(value: Any, kind: pa.DataType) -> pa.Array:
        return pa.repeat(pa.scalar(value, kind), total)

    event_us = per_record("event_us")
    decision = per_record("decision_id").to_pylist()
    attempt = per_record("attempt").to_pylist()
    columns = {
        "inference_id": pa.array([f"{d}-{a}-{i}" for d, a, i in zip(decision, attempt, instance, strict=True)]),
        "decision_id": pa.array(decision),
        "event_ts": pa.array(event_us.to_numpy() // 1000).cast(pa.timestamp("ms")),
        "event_ts_us": event_us,
        "schema_version": constant(SCHEMA_VERSION, pa.int32()),
        "instance_index": pa.array(instance, pa.int32()),
        "sampling_rate": per_row([_sampling_rate(context, each) for each in records], pa.float64()),
        "values_omitted": per_row([each.kept is not None and not each.kept.has_values for each in records]),
        "latency_ms": pa.array(per_record("latency_us").to_numpy() / 1000),
        "model_latency_ms": pa.array(per_record("model_us").to_numpy() / 1000),
        "writer_id": constant(header.writer_id, pa.string()),
        "features_num": _features(context, records, sizes),
        "features_cat": categories(context, records, sizes),
        "prediction": predictions(context, records, sizes),
        "predicted_label": labels(context, records, sizes),
        "weights": per_row([_weights(context, each) for each in records], _WEIGHTS)
        if any(each.slots for each in records)
        else constant(list(context.weights.items()), _WEIGHTS),
        "compared_with": constant(context.against or None, pa.string()),
        "policy_number": constant(context.policy_number or None, pa.int64()),
        "context": per_row([features_seen(each.vector) for each in records], pa.list_(pa.float64())),
        "caller": per_row([each.caller or None for each in records], pa.string()),
        "door": per_row([each.door or None for each in records], pa.string()),
        "tags": per_row([each.tags for each in records], schema.field("tags").type),
        "queue_ms": per_row(
            [None if each.queue_us is None else each.queue_us / 1000 for each in records], pa.float64()
        ),
        "cached": constant(False, pa.bool_()),
        "cluster": constant(header.cluster or None, pa.string()),
        "redaction": constant(context.redaction or None, pa.string()),
    }
    for name in _CONTEXT_COLUMNS:
        columns[name] = constant(getattr(context, name), schema.field(name).type)
    for name in _RECORD_COLUMNS:
        columns[name] = per_record(name)
    for name, values in _comparisons(records).items():
        columns[name] = values.take(pa.array(record_of_row))
    return pa.table([columns[field.name].cast(field.type) for field in schema], schema=schema)


_CONTEXT_COLUMNS = (
    "arm",
    "role",
    "policy_kind",
    "policy_version",
    "snapshot_hash",
    "model_name",
    "model_version",
    "model_digest",
)
_RECORD_COLUMNS = (
    "reason",
    "propensity",
    "unit_hash",
    "batch_size",
    "status",
    "outcome",
    "error_code",
    "request_id",
    "trace_id",
    "writer_seq",
)
# Columns in which every value may be None, so that no type can be inferred.
_RECORD_TYPES = {"propensity": pa.float64(), "unit_hash": pa.string()}


def _weights(context: Context, record: Record) -> list[tuple[str, float]]:
    """Return the weights of a request: its own, or those of all requests."""
    slots = request_slots.unpack(record.slots, len(context.weights))
    if slots is None:
        return list(context.weights.items())
    return [(arm, owned / BUCKETS) for arm, owned in zip(context.weights, slots, strict=True)]


def features_seen(vector: bytes | None) -> list[float] | None:
    """Return the features of a context as shares of 1, without the intercept. None without a context."""
    if not vector:
        return None
    try:
        return [feature / SCALE for feature in unpack(vector)[1:]]
    except BanditError:
        return None


def _instances(record: Record) -> int:
    """Return the number of instances that the record holds."""
    return record.batch_size if record.kept is None else record.kept.instances


def _sampling_rate(context: Context, record: Record) -> float | None:
    """Return the share of instances for which the record's rows stand; None if they have no values for others."""
    share = context.sample_slots / BUCKETS if record.outcome == "ok" else 1.0
    if record.kept is None:
        return share
    return share * record.kept.instances / record.batch_size if record.kept.instances else None


def _instance_index(
    records: Sequence[Record], sizes: np.ndarray[Any, np.dtype[np.int64]]
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the place of each row's instance in its request."""
    starts = np.cumsum(sizes) - sizes
    index: np.ndarray[Any, np.dtype[np.int64]] = np.arange(int(sizes.sum())) - np.repeat(starts, sizes)
    for start, size, record in zip(starts.tolist(), sizes.tolist(), records, strict=True):
        if record.kept is not None:
            index[start : start + size] = kept_instances(record.batch_size, size)
    return index


def _comparisons(records: Sequence[Record]) -> dict[str, pa.Array]:
    """Return the columns of a shadow's comparisons, one value per record; None if there was no comparison."""
    compared = [record.comparison for record in records]
    flips = [None if each is None else each.flips for each in compared]
    means = [None if each is None or not each.pairs else each.difference / (_MILLION * each.pairs) for each in compared]
    return {"label_flips": pa.array(flips, pa.int32()), "mean_difference": pa.array(means, pa.float64())}


def _widths(counts: Sequence[int], sizes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the number of values of each row, given the number of values of each record."""
    return np.repeat(np.array(counts) // sizes, sizes)


def _offsets(widths: np.ndarray[Any, Any]) -> pa.Array:
    return pa.array(np.concatenate(([0], np.cumsum(widths))), pa.int32())


def _features(context: Context, records: Sequence[Record], sizes: np.ndarray[Any, Any]) -> pa.Array:
    """Return a map of feature name to value for each row. Several inputs are interleaved row by row.

    If the values of a record do not match the names, its rows have none: one odd request must not spoil the others.
    """
    if not context.inputs:
        return pa.MapArray.from_arrays(
            pa.array(np.zeros(int(sizes.sum()) + 1), pa.int32()), pa.array([], pa.string()), pa.array([], pa.float64())
        )
    if len(context.inputs) == 1:
        row_bytes = np.dtype(context.inputs[0]).itemsize * len(context.features)
        parts = [
            record.inputs[0] if record.inputs and len(record.inputs[0]) == row_bytes * _instances(record) else b""
            for record in records
        ]
        values = floats(parts, context.inputs[0])
        counts = [len(part) * len(context.features) // row_bytes for part in parts]
    else:
        rows = [_interleaved(context, record) for record in records]
        values = np.concatenate([*rows, np.empty(0)])
        counts = [len(row) for row in rows]
    widths = _widths(counts, sizes)
    positions = np.concatenate([np.arange(width) for width in widths]) if _ragged(widths) else _tiled(widths)
    names = pa.array(context.features, pa.string()).take(pa.array(positions, pa.int32()))
    return pa.MapArray.from_arrays(_offsets(widths), names, pa.array(values))


def _ragged(widths: np.ndarray[Any, Any]) -> bool:
    return bool((widths != widths[0]).any())


def _tiled(widths: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.tile(np.arange(widths[0]), len(widths))


def _interleaved(context: Context, record: Record) -> np.ndarray[Any, np.dtype[np.float64]]:
    values = [floats([content], kind) for content, kind in zip(record.inputs, context.inputs, strict=False)]
    instances = _instances(record)
    expected = instances * len(context.features)
    if not expected or sum(map(len, values)) != expected or any(len(each) % instances for each in values):
        return np.empty(0)
    return np.concatenate([each.reshape(instances, -1) for each in values], axis=1).ravel()


def predictions(context: Context, records: Sequence[Record], sizes: np.ndarray[Any, Any]) -> pa.Array:
    """Return the numbers of the prediction of each row, or null if there is none."""
    if context.prediction is None:
        return pa.nulls(int(sizes.sum()), pa.list_(pa.float64()))
    index, kind = context.prediction
    itemsize = np.dtype(kind).itemsize
    parts = [
        record.outputs[index] if record.outputs and len(record.outputs[index]) % (itemsize * size) == 0 else b""
        for record, size in zip(records, sizes.tolist(), strict=True)
    ]
    counts = [len(part) // itemsize for part in parts]
    return pa.ListArray.from_arrays(_offsets(_widths(counts, sizes)), pa.array(floats(parts, kind)))


def labels(context: Context, records: Sequence[Record], sizes: np.ndarray[Any, Any]) -> pa.Array:
    """Return the label of each row as a text, or null if there is none."""
    if context.label is None:
        return pa.nulls(int(sizes.sum()), pa.string())
    index, kind = context.label
    read = _strings if kind == STRINGS else partial(_numbers, kind)
    per_record = [
        read(record.outputs[index], size) if record.outputs else [None] * size
        for record, size in zip(records, sizes.tolist(), strict=True)
    ]
    return pa.array(list(chain.from_iterable(per_record)), pa.string())


def _numbers(kind: str, content: bytes, size: int) -> Sequence[str | None]:
    """Return `size` labels that are numbers, or `size` times None if the number of bytes does not match."""
    if len(content) != np.dtype(kind).itemsize * size:
        return [None] * size
    return list(map(str, np.frombuffer(content, kind).tolist()))


def _strings(content: bytes, size: int) -> Sequence[str | None]:
    """Return `size` labels that are BYTES, or `size` times None if there are fewer or more."""
    texts = elements(content)
    if texts is None or len(texts) != size:
        return [None] * size
    return [text.decode("utf-8", "replace") for text in texts]
