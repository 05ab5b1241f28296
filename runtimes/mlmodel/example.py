"""Reads the input example that MLflow saves beside a model, and arranges it as tensors."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from runtimes.datatypes import BYTES, NUMPY_OF, Tensor, tensor_of_bytes
from runtimes.manifest import TensorSpec
from runtimes.mlmodel.signature import MATRIX

_MOST_BYTES = 4 * 1024 * 1024
"""An example is a few rows. A larger one is left alone."""

Example = Mapping[str, Any]
"""Values by the name of their column or tensor. `MATRIX` is the name of values without one."""


def read_example(content: bytes) -> Example:
    """Return the values of an input example, or nothing if it is of another form.

    MLflow writes a data frame as `columns` and `data`, an array as nested lists, several arrays as a dictionary.
    """
    if len(content) > _MOST_BYTES:
        return {}
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    if isinstance(value, Mapping) and isinstance(value.get("columns"), list) and isinstance(value.get("data"), list):
        return {str(name): [row[at] for row in value["data"]] for at, name in enumerate(value["columns"])}
    if isinstance(value, Mapping):
        return {str(name): each for name, each in value.items()}
    return {MATRIX: value} if isinstance(value, list) else {}


def arrange(example: Example, inputs: Sequence[TensorSpec]) -> dict[str, Tensor]:
    """Return an example as these inputs, by their names, or nothing if it does not fit all of them."""
    try:
        arranged = {spec.name: _tensor(example, spec) for spec in inputs}
    except (KeyError, TypeError, ValueError, OverflowError):
        return {}
    return arranged if all(spec.shape_mismatch(arranged[spec.name].shape) is None for spec in inputs) else {}


def _tensor(example: Example, spec: TensorSpec) -> Tensor:
    if spec.columns and all(name in example for name in spec.columns):
        value = list(zip(*[example[name] for name in spec.columns], strict=True))
    else:
        value = example[spec.own_name if spec.own_name in example else MATRIX]
    dtype = NUMPY_OF[spec.datatype]
    if dtype == BYTES:
        words = np.array(value, object)
        return tensor_of_bytes([b"" if each is None else str(each).encode() for each in words.ravel()], words.shape)
    array = np.array(value, object)
    array[array == None] = np.nan  # noqa: E711  # elementwise: null is a missing number
    return array.astype(dtype)
