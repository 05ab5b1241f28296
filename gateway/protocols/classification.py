"""The classification extension: an output as its best classes, written `value:index[:label]`."""

from typing import Any

import numpy as np

from gateway.errors import BadRequest
from runtimes.datatypes import Tensor, tensor_of_bytes
from runtimes.manifest import TensorSpec

_HAVE_NO_ORDER = ("BOOL", "BYTES")


def parse_classes(spec: TensorSpec, given: Any) -> int:
    """Return how many classes the parameter `classification` of a requested output asks for.

    Raises:
        BadRequest: not a whole number of at least one, or the output's datatype has no order.
    """
    if type(given) is not int or given < 1:
        raise BadRequest(f"Output {spec.name}: classification is {given!r}; it must be a whole number from 1.")
    if spec.datatype in _HAVE_NO_ORDER:
        raise BadRequest(f"Output {spec.name} is {spec.datatype}, which cannot be requested as a classification.")
    return given


def classify(spec: TensorSpec, tensor: Tensor, classes: int) -> Tensor:
    """Return a BYTES tensor of the `classes` largest values of each instance, the largest first.

    If an instance has fewer values, all are returned. The shape is [batch, classes], or [classes] if the first
    dimension does not vary. The labels are the columns that the output declares. NaN sorts last. Of equal values the
    one with the lower index comes first.
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
    """Return keys whose ascending order is the descending order of `rows`."""
    if rows.dtype.kind in "iu":
        return np.invert(rows)  # unlike negation, this cannot overflow
    return -rows.astype(np.float64)
