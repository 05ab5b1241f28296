"""Requests as the gateway logs them, and Parquet files of a log that hold them."""

import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from gateway.inference.log_bounds import DEFAULT_BOUNDS, LogBounds, logged_values
from inference_log.parquet import open_writer
from inference_log.record import Context, Record, SegmentHeader
from inference_log.rows.inference_rows import inference_table
from runtimes.datatypes import TYPE_STRING_OF, Tensor
from runtimes.logged_tensors import (
    feature_names,
    label_and_prediction,
    logged_inputs,
    numeric_inputs,
    text_inputs,
)
from runtimes.manifest import Signature


def context_of(signature: Signature, **changes: Any) -> Context:
    """Return the context of an arm with this signature."""
    label, prediction = label_and_prediction(signature)
    numeric = numeric_inputs(signature)
    values: dict[str, Any] = {
        "number": 0, "route": "r", "arm": "a", "role": "primary", "policy_kind": "split", "policy_version": 1,
        "snapshot_hash": "", "weights": {"a": 1.0}, "model_name": "m", "model_version": "1", "model_digest": "d",
        "features": tuple(name for spec in numeric for name in feature_names(spec, signature.counts_instances(spec))),
        "inputs": tuple(TYPE_STRING_OF[spec.datatype] for spec in numeric),
        "label": label, "prediction": prediction,
        "categories": tuple(spec.name for spec in text_inputs(signature)),
    }  # fmt: skip
    return Context(**{**values, **changes})


def logged_rows(
    signature: Signature,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[Tensor],
    *,
    number: int = 0,
    instances: int = 1,
    bounds: LogBounds = DEFAULT_BOUNDS,
    at_s: float | None = None,
    **changes: Any,
) -> pa.Table:
    """Return the rows of one answered request. `changes` are of its context."""
    context = context_of(signature, **changes)
    kept = tuple(sorted({each[0] for each in (context.label, context.prediction) if each is not None}))
    given = [inputs[spec.name] for spec in logged_inputs(signature)]
    logged = logged_values(bounds, context, instances, given, outputs, kept)
    record = Record(
        0, number, f"d{number}", 0, int((at_s or time.time()) * 1e6), "WEIGHTED", 1.0, None, 200, "ok", "", 1, 1,
        instances, "", "", logged.inputs, logged.outputs, None, None, logged.kept,
    )  # fmt: skip
    return inference_table(context, [record], SegmentHeader("w", 0))


def write_log(log: Path, name: str, requests: Sequence[pa.Table], route: str = "r") -> None:
    """Write a Parquet file of today's log."""
    path = log / "inferences" / f"route={route}" / time.strftime("dt=%Y-%m-%d", time.gmtime()) / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer, table = io.BytesIO(), pa.concat_tables(requests)
    with open_writer(buffer, table.schema, "0" * 64) as writer:
        writer.write_table(table)
    path.write_bytes(buffer.getvalue())
