"""A tensor as plain bytes: the binary extension of HTTP, and the raw contents of gRPC. Decides.

Little-endian and row-major, as the machines are that this runs on. Nothing is copied that need not be: a tensor that
lies aligned in the body is read where it lies, and is therefore not writable.
"""

import math
import struct

import numpy as np

from gateway.errors import BadRequest
from runtimes.datatypes import BYTES, NUMPY_OF, Tensor, tensor_bytes, tensor_of_bytes

_read_length = struct.Struct("<I").unpack_from
_LENGTH_BYTES = 4
_WORTH_A_VIEW_BYTES = 8192


def decode_tensor(name: str, datatype: str, shape: tuple[int, ...], content: memoryview | bytes) -> Tensor:
    """The tensor of `shape` whose bytes are `content`, all of them.

    Raises:
        BadRequest: another number of bytes than datatype and shape need, an impossible shape, or a BOOL that is
            neither 0 nor 1: NumPy would compute with it as if it were both.
    """
    if datatype not in NUMPY_OF:
        raise BadRequest(f"Tensor {name} has datatype {datatype!r}; known are {', '.join(NUMPY_OF)}.")
    if min(shape, default=0) < 0:
        raise BadRequest(f"Tensor {name} has shape {list(shape)}; a tensor has no negative dimensions.")
    count = math.prod(shape)
    if datatype == "BYTES":
        return _shaped(name, tensor_of_bytes(_elements(name, count, content), (count,)), shape)
    dtype = NUMPY_OF[datatype]
    if len(content) != count * dtype.itemsize:
        raise BadRequest(
            f"Tensor {name} has {len(content)} bytes, but {datatype} {list(shape)} needs {count * dtype.itemsize}."
        )
    tensor = _shaped(name, np.frombuffer(content, dtype) if count else np.empty(0, dtype), shape)
    if datatype == "BOOL" and count and tensor.view(np.uint8).max() > 1:
        raise BadRequest(f"Tensor {name} has a BOOL that is neither 0 nor 1.")
    return tensor if tensor.flags.aligned else tensor.copy()


def encode_tensor(tensor: Tensor) -> bytes | memoryview:
    """The bytes of a tensor; a view of them, where they lie as the wire wants them and are worth the view."""
    if tensor.nbytes < _WORTH_A_VIEW_BYTES or tensor.dtype == BYTES or not tensor.flags.c_contiguous:
        return tensor_bytes(tensor)
    return tensor.reshape(-1).view(np.uint8).data


def _shaped(name: str, flat: Tensor, shape: tuple[int, ...]) -> Tensor:
    try:
        return flat.reshape(shape)
    except (ValueError, OverflowError) as error:  # more dimensions, or a larger one beside one of zero, than NumPy has
        raise BadRequest(f"Tensor {name} cannot have the shape {list(shape)}: {error}.") from error


def _elements(name: str, count: int, content: memoryview | bytes) -> list[bytes]:
    """The elements of a BYTES tensor, each with its length before it."""
    # Asked first, so that a shape alone does not make anybody work or allocate.
    if count * _LENGTH_BYTES > len(content):
        raise BadRequest(
            f"Tensor {name} has {len(content)} bytes, but {count} BYTES need at least {count * _LENGTH_BYTES}."
        )
    elements, at, end = [], 0, len(content)
    for index in range(count):
        start = at + _LENGTH_BYTES
        if start > end:
            raise BadRequest(f"Tensor {name} ends within the length of element {index}.")
        at = start + _read_length(content, at)[0]
        if at > end:
            raise BadRequest(
                f"Tensor {name} ends within element {index}: {at - start} bytes are announced, {end - start} are left."
            )
        elements.append(bytes(content[start:at]))
    if at != end:
        raise BadRequest(f"Tensor {name} has {end - at} bytes more than its {count} elements.")
    return elements
