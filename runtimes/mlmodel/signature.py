"""Turns a signature of MLflow into tensors.

A named column becomes a tensor [-1] of its name. Columns of numbers alone become one tensor `X` [-1, n] of FP64, whose
`columns` are their names. A tensor keeps its dtype and shape; without a name it is `X`, or `prediction` as an output.
A column of datetime is BYTES in ISO 8601, as in MLflow's own JSON. `binary` is BYTES.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from runtimes.datatypes import NAME_OF
from runtimes.errors import ModelRefused
from runtimes.manifest import Example, TensorSpec

MATRIX, PREDICTION = "X", "prediction"

_DATATYPE_OF = {
    "boolean": "BOOL",
    "integer": "INT32",
    "long": "INT64",
    "float": "FP32",
    "double": "FP64",
    "string": "BYTES",
    "binary": "BYTES",
    "datetime": "BYTES",
}
_SOME_DAY = Example(data=("2000-01-01T00:00:00",))
"""An empty text, which stands in for a text otherwise, is no time."""

_NUMBERS = ("integer", "long", "float", "double")


def read_specs(text: object, kind: str, remarks: list[str]) -> tuple[TensorSpec, ...]:
    """Return the inputs or outputs of a signature: `kind` says which. Without any, return none.

    Raises:
        ModelRefused: it is no such signature, or has a type that is no tensor.
    """
    if not text:
        return ()
    try:
        columns = json.loads(text) if isinstance(text, str) else text
        if not isinstance(columns, list) or not all(isinstance(each, Mapping) for each in columns):
            raise TypeError("it is no list of columns")
        return tuple(_specs(columns, kind, remarks))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelRefused(f"The {kind}s in the signature of MLmodel cannot be read: {error!r}.") from error


def _specs(columns: Sequence[Mapping[str, Any]], kind: str, remarks: list[str]) -> list[TensorSpec]:
    types = [each["type"] for each in columns]
    names = [str(each["name"]) for each in columns if "name" in each]
    if kind == "input" and len(columns) > 1 and len(names) == len(columns) and set(types) <= set(_NUMBERS):
        _remark_on_optional(columns, remarks)
        return [TensorSpec(MATRIX, "FP64", (-1, len(columns)), tuple(names))]
    if types.count("tensor") == 0:
        _remark_on_optional(columns, remarks)
    return [_spec(each, kind, position if len(columns) > 1 else None) for position, each in enumerate(columns)]


def _spec(column: Mapping[str, Any], kind: str, position: int | None) -> TensorSpec:
    unnamed = MATRIX if kind == "input" else PREDICTION
    name = str(column.get("name") or (unnamed if position is None else f"{unnamed}_{position}"))
    if column["type"] == "tensor":
        tensor = column["tensor-spec"]
        shape = tuple(int(size) for size in tensor["shape"])
        return TensorSpec(name, _datatype_of_dtype(str(tensor["dtype"]), name), shape)
    if column["type"] not in _DATATYPE_OF:
        raise ModelRefused(
            f"The {kind} {name} in the signature of MLmodel is of type {column['type']!r}, which is no tensor. "
            f"Say in model.yaml what the {kind}s are."
        )
    example = _SOME_DAY if column["type"] == "datetime" and kind == "input" else None
    return TensorSpec(name, _DATATYPE_OF[column["type"]], (-1,), example=example)


def _datatype_of_dtype(dtype: str, name: str) -> str:
    try:
        known = np.dtype(dtype)
    except TypeError as error:
        raise ModelRefused(f"The tensor {name} in the signature of MLmodel has the dtype {dtype!r}.") from error
    return NAME_OF.get(known, "BYTES")


def _remark_on_optional(columns: Sequence[Mapping[str, Any]], remarks: list[str]) -> None:
    optional = [str(each.get("name")) for each in columns if each.get("required") is False]
    if optional:
        remarks.append(
            f"Optional in MLflow, but sent with every request here: {', '.join(optional)}. "
            "NaN stands for a missing number."
        )
