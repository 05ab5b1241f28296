"""A tensor's `data` in JSON, flat or nested, into NumPy. Decides.

msgspec checks every element against the datatype while it parses, so nothing is coerced silently: no string becomes
a number, no 300 becomes a UINT8, no INT64 passes through a float.
"""

import math
from typing import Annotated, Any

import msgspec
import numpy as np

from gateway.errors import BadRequest
from runtimes.datatypes import NUMPY_OF, Tensor

_MAX_DEPTH = 8
_FP32_BOUND = 2.0**128 - 2.0**103


def _element(datatype: str) -> Any:
    """The type that msgspec holds each element against."""
    kind = NUMPY_OF[datatype]
    if kind.kind == "b":
        return bool
    if kind.kind == "f":
        # JSON can write numbers that FP32 cannot hold; none of them may become infinite. The bound is where rounding
        # to infinity begins, half a step beyond the largest number. (Beyond FP64 msgspec refuses by itself.)
        return Annotated[float, msgspec.Meta(gt=-_FP32_BOUND, lt=_FP32_BOUND)] if kind.itemsize == 4 else float
    bounds = np.iinfo(kind)
    if kind.itemsize == 8:
        return int  # msgspec's own bounds are 64 bit; NumPy refuses what lies beyond
    return Annotated[int, msgspec.Meta(ge=int(bounds.min), le=int(bounds.max))]


def _decoders(datatype: str) -> list[msgspec.json.Decoder[Any]]:
    kind, decoders = _element(datatype), []
    for _ in range(_MAX_DEPTH + 1):
        decoders.append(msgspec.json.Decoder(kind))
        kind = list[kind]  # type: ignore[valid-type]  # built at run time, one level of nesting at a time
    return decoders


_DECODERS = {datatype: _decoders(datatype) for datatype in NUMPY_OF if datatype != "FP16"}


def decode_data(name: str, datatype: str, shape: tuple[int, ...], raw: bytes) -> Tensor:
    """The array of `shape` that the JSON value `raw` holds.

    Raises:
        BadRequest: elements of another type, ragged nesting, another count than the shape says, a number that the
            datatype cannot hold.
    """
    if datatype not in _DECODERS:
        raise BadRequest(f"Tensor {name}: {datatype} cannot be sent as JSON; send it as binary or as FP32.")
    depth = _depth(raw)
    try:
        values = _DECODERS[datatype][depth].decode(raw)
        array = np.array(values, NUMPY_OF[datatype])
    except msgspec.DecodeError as error:
        raise BadRequest(f"Tensor {name}: {error}.") from error
    except (ValueError, OverflowError) as error:
        raise BadRequest(f"Tensor {name}: data is ragged or does not fit {datatype}: {error}.") from error
    if array.shape == shape:
        return array
    if depth > 1 and array.size:
        raise BadRequest(f"Tensor {name} is nested as {list(array.shape)}, but its shape says {list(shape)}.")
    if array.size != math.prod(shape):
        raise BadRequest(
            f"Tensor {name} has {array.size} elements, but its shape {list(shape)} needs {math.prod(shape)}."
        )
    try:
        return array.reshape(shape)
    except ValueError as error:  # a dimension beyond what NumPy can count, beside one of zero
        raise BadRequest(f"Tensor {name} cannot have the shape {list(shape)}: {error}.") from error


def _depth(raw: bytes) -> int:
    """How many brackets open before the first element."""
    depth = 0
    for byte in raw:
        if byte == 0x5B:  # [
            depth += 1
            if depth > _MAX_DEPTH:
                raise BadRequest(f"data is nested more than {_MAX_DEPTH} levels deep.")
        elif byte not in b" \t\r\n":
            return depth
    return depth
