"""The Open Inference Protocol's datatypes and NumPy's names for them.

NumPy has no type for two of them. BF16 is the bfloat16 of ml_dtypes. BYTES are strings of bytes of any length: arrays
of Python objects, each of type `bytes`. On the wire and in the log, each element is preceded by its length as an
unsigned 32-bit integer.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import Any

import ml_dtypes
import numpy as np

Tensor = np.ndarray[Any, np.dtype[Any]]

NUMPY_OF: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "BYTES": np.dtype(object),
}
NAME_OF = {dtype: name for name, dtype in NUMPY_OF.items()}
"""The datatype by NumPy dtype; the inverse of `NUMPY_OF`."""

BYTES = NUMPY_OF["BYTES"]
TYPE_STRING_OF = {name: dtype.str for name, dtype in NUMPY_OF.items()} | {"BF16": "bfloat16"}
"""The log's name of a datatype. NumPy's own string for BF16 would only say that it has two bytes."""

_length = struct.Struct("<I")
_PIECE = 65_536
"""Strings that are written at a time. All at once, their lengths would take ten times the memory of the result."""


def zeros(datatype: str, shape: Sequence[int]) -> Tensor:
    """Return a tensor of zeros, of false, or of empty strings."""
    return np.full(shape, b"", BYTES) if datatype == "BYTES" else np.zeros(shape, NUMPY_OF[datatype])


def tensor_of_bytes(elements: Sequence[bytes], shape: tuple[int, ...]) -> Tensor:
    """Return a BYTES tensor of row-major `elements`."""
    return np.array(elements, BYTES).reshape(shape)


def tensor_bytes(tensor: Tensor) -> bytes:
    """Return a tensor's bytes for the wire and the log: row-major, little-endian, BYTES with their lengths."""
    if tensor.dtype.char != "O":
        return tensor.tobytes()
    elements = tensor.ravel()
    return b"".join([_with_lengths(elements[at : at + _PIECE].tolist()) for at in range(0, elements.size, _PIECE)])


def _with_lengths(elements: list[bytes]) -> bytes:
    parts = [b""] * (2 * len(elements))
    parts[::2] = map(_length.pack, map(len, elements))
    parts[1::2] = elements
    return b"".join(parts)


def least_bytes(tensor: Tensor) -> int:
    """Return how long `tensor_bytes` is, of strings without their characters. This looks at no element."""
    return tensor.size * _length.size if tensor.dtype.char == "O" else tensor.nbytes


def total_bytes(tensors: Iterable[Tensor]) -> int:
    """Return the bytes that the values take. The overhead of Python's string objects is not counted."""
    return sum(
        [sum(map(len, tensor.ravel().tolist())) if tensor.dtype == BYTES else tensor.nbytes for tensor in tensors]
    )
