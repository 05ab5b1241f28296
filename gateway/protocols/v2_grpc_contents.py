"""Tensors as typed `contents`, the protocol's alternative to raw bytes.

Several datatypes share a field (INT8 is sent as int32). So received values are checked against the datatype's own
range, and none wraps around silently. FP16 and BF16 have no field.
"""

import math
from typing import Any

import numpy as np

from gateway.errors import BadRequest
from gateway.protocols.open_inference_pb2 import InferTensorContents
from runtimes.datatypes import BYTES, NUMPY_OF, Tensor

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

_FIXED_WIDTH = ("fp32_contents", "fp64_contents", "bool_contents")
_FEW = 64
_PIECE = 65_536
"""Elements that are read or written in one call, during which no other thread runs."""
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
        return _array(name, datatype, field, contents).reshape(shape)
    except ValueError as error:  # a dimension that NumPy cannot count, beside a zero
        raise BadRequest(f"Tensor {name} cannot have the shape {list(shape)}: {error}.") from error


def _array(name: str, datatype: str, field: str, contents: InferTensorContents) -> Tensor:
    kind = NUMPY_OF[datatype]
    if kind == BYTES:
        return _in_pieces(contents.bytes_contents, BYTES)
    if field in _FIXED_WIDTH:
        return _packed(contents, field, kind)
    values, carrier = getattr(contents, field), _CARRIER_OF.get(field, kind)
    return _in_pieces(values, kind) if carrier == kind else _narrowed(name, datatype, values, carrier)


def _in_pieces(values: Any, kind: Any) -> Tensor:
    """Return the values as an array. Python's lock is released between the pieces, each of a few milliseconds."""
    array = np.empty(len(values), kind)
    for at in range(0, len(values), _PIECE):
        array[at : at + _PIECE] = values[at : at + _PIECE]
    return array


def _narrowed(name: str, datatype: str, values: Any, carrier: Any) -> Tensor:
    """Return the values, which came in a wider type, as an array. It is made in pieces, too."""
    array = np.empty(len(values), NUMPY_OF[datatype])
    bounds = np.iinfo(array.dtype)
    for at in range(0, len(values), _PIECE):
        piece = np.array(values[at : at + _PIECE], carrier)
        outside = piece[(piece < bounds.min) | (piece > bounds.max)]
        if outside.size:
            raise BadRequest(f"Tensor {name} holds {outside[0]}, which {datatype} cannot.")
        array[at : at + _PIECE] = piece
    return array


def _packed(contents: InferTensorContents, field: str, kind: Any) -> Tensor:
    """Return the values of a field whose bytes on the wire are those of the array, behind a tag and a length."""
    count = len(getattr(contents, field))
    if count <= _FEW:
        return np.array(getattr(contents, field), kind)
    contents.DiscardUnknownFields()  # they would come behind the values
    content = contents.SerializeToString()
    array = np.frombuffer(content, kind, count, len(content) - count * kind.itemsize)
    return array if array.flags.aligned else array.copy()


def encode_contents(datatype: str, tensor: Tensor) -> InferTensorContents:
    """Return the tensor as typed contents. Its datatype must have a field."""
    return InferTensorContents(**{FIELD_OF[datatype]: tensor.ravel().tolist()})


def contents_in_pieces(datatype: str, tensor: Tensor) -> list[bytes]:
    """Return serialised contents that mean the same as those of `encode_contents` when they are joined.

    Python's lock is released between the pieces, each of a few milliseconds.
    """
    values = tensor.ravel()
    return [
        encode_contents(datatype, values[at : at + _PIECE]).SerializeToString() for at in range(0, values.size, _PIECE)
    ]
