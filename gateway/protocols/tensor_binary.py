"""A tensor as plain bytes, as in HTTP's binary extension and in gRPC's raw contents.

The bytes are little-endian and row-major, like the processors that this runs on. So a tensor that is aligned in the
body is not copied: it is a view of the body, and therefore read-only.
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
    """Return the tensor of `shape` whose bytes are all of `content`.

    Raises:
        BadRequest: another number of bytes than datatype and shape need, an impossible shape, or a BOOL that is
            neither 0 nor 1, which NumPy would take for true in one operation and for false in another.
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
    """Return the bytes of a tensor, as a view if it is contiguous and has 8 KiB or more. Below, a copy is cheaper."""
    if tensor.nbytes < _WORTH_A_VIEW_BYTES or tensor.dtype == BYTES or not tensor.flags.c_contiguous:
        return tensor_bytes(tensor)
    return tensor.reshape(-1).view(np.uint8).data


def _shaped(name: str, flat: Tensor, shape: tuple[int, ...]) -> Tensor:
    try:
        return flat.reshape(shape)
    except (ValueError, OverflowError) as error:  # more dimensions than NumPy allows, or a huge one beside a zero
        raise BadRequest(f"Tensor {name} cannot have the shape {list(shape)}: {error}.") from error


def _elements(name: str, count: int, content: memoryview | bytes) -> list[bytes]:
    """Return the elements of a BYTES tensor. Each has its length before it."""
    # Checked first, so that a huge shape in a small body costs neither time nor memory.
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
