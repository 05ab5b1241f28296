"""Tensors as typed `contents`, the protocol's alternative to raw bytes.

Several datatypes share a field (INT8 is sent as int32). So received values are checked against the datatype's own
range, and none wraps around silently. FP16 and BF16 have no field.
"""

import math
from typing import Any

import numpy as np

from gateway.errors import BadRequest
from gateway.protocols.open_inference_pb2 import InferTensorContents
from runtimes.datatypes import BYTES, NUMPY_OF, Tensor, tensor_of_bytes

FIELD_OF = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""The field of `InferTensorContents` that holds a datatype."""

_CARRIER_OF = {"int_contents": np.dtype(np.int32), "uint_contents": np.dtype(np.uint32)}


def decode_contents(name: str, datatype: str, shape: tuple[int, ...], contents: InferTensorContents) -> Tensor:
    """Return the array of `shape` that typed contents hold.

    Raises:
        BadRequest: the datatype has no field, another field is set, another count than the shape needs, or a number
            that the datatype cannot hold.
    """
    field = FIELD_OF.get(datatype)
    if field is None:
        raise BadRequest(f"Tensor {name}: {datatype} has no typed contents; send it in raw_input_contents.")
    others = [descriptor.name for descriptor, _ in contents.ListFields() if descriptor.name != field]
    if others:
        raise BadRequest(f"Tensor {name} has {', '.join(others)}; {datatype} travels in {field}.")
    values = getattr(contents, field)
    needed = math.prod(shape)
    if len(values) != needed:
        raise BadRequest(f"Tensor {name} has {len(values)} elements, but its shape {list(shape)} needs {needed}.")
    try:
        return _array(name, datatype, field, values).reshape(shape)
    except ValueError as error:  # a dimension that NumPy cannot count, beside a zero
        raise BadRequest(f"Tensor {name} cannot have the shape {list(shape)}: {error}.") from error


def _array(name: str, datatype: str, field: str, values: Any) -> Tensor:
    kind = NUMPY_OF[datatype]
    if kind == BYTES:
        return tensor_of_bytes(list(values), (len(values),))
    array = np.array(values, _CARRIER_OF.get(field, kind))
    if array.dtype == kind:
        return array
    bounds = np.iinfo(kind)
    outside = array[(array < bounds.min) | (array > bounds.max)]
    if outside.size:
        raise BadRequest(f"Tensor {name} holds {outside[0]}, which {datatype} cannot.")
    return array.astype(kind)


def encode_contents(datatype: str, tensor: Tensor) -> InferTensorContents:
    """Return the tensor as typed contents. Its datatype must have a field."""
    return InferTensorContents(**{FIELD_OF[datatype]: tensor.ravel().tolist()})
