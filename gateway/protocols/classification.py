"""The classification extension: an output as its best classes, `value:index[:label]`. Decides."""

from typing import Any

import numpy as np

from gateway.errors import BadRequest
from runtimes.datatypes import Tensor, tensor_of_bytes
from runtimes.manifest import TensorSpec

_HAVE_NO_ORDER = ("BOOL", "BYTES")


def parse_classes(spec: TensorSpec, given: Any) -> int:
    """The parameter `classification` of a requested output: how many classes are wanted.

    Raises:
        BadRequest: not a whole number of at least one, or values that no order is known for.
    """
    if type(given) is not int or given < 1:
        raise BadRequest(f"Output {spec.name}: classification is {given!r}; it must be a whole number from 1.")
    if spec.datatype in _HAVE_NO_ORDER:
        raise BadRequest(f"Output {spec.name} is {spec.datatype}, which cannot be asked for as a classification.")
    return given


def classify(spec: TensorSpec, tensor: Tensor, classes: int) -> Tensor:
    """A BYTES tensor of the `classes` largest values of each instance (all, if there are fewer), the largest first.

    Its shape is [batch, classes], or [classes] where the first dimension does not vary. Labels are the columns that
    the output declares. NaN comes last; of equal values the one that stands first.
    """
    batched = spec.shape[:1] == (-1,)
    width = int(np.prod(tensor.shape[1:] if batched else tensor.shape, dtype=np.int64))
    rows = tensor.reshape(tensor.shape[0] if batched else 1, width)
    order = np.argsort(_descending(rows), axis=1, kind="stable")[:, :classes]
    labels = [f":{label}" for label in spec.columns] if len(spec.columns) == width else [""] * width
    elements = [
        f"{row[index]!s}:{index}{labels[index]}".encode()
        for row, best in zip(rows, order.tolist(), strict=True)
        for index in best
    ]
    return tensor_of_bytes(elements, order.shape if batched else order.shape[1:])


def _descending(rows: Tensor) -> Tensor:
    """Keys whose ascending order is the descending order of `rows`."""
    if rows.dtype.kind in "iu":
        return np.invert(rows)  # unlike the negative, it cannot overflow
    return -rows.astype(np.float64)
