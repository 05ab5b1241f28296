"""A tensor's elements in JSON, flat or nested, to and from NumPy.

msgspec checks every element's type while it parses. `struct` checks its range while it packs. So nothing is coerced
silently: no string becomes a number, 300 is no UINT8, and no INT64 passes through a float. NaN and the infinities,
which JSON cannot write as numbers, are treated as docs/decisions/005-nan-in-json.md says.
"""

import math
import re
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain
from types import GenericAlias
from typing import Any

import msgspec
import numpy as np

from gateway.errors import BadRequest
from gateway.protocols.json_fault import json_fault
from runtimes.datatypes import NUMPY_OF, Tensor, tensor_of_bytes

NOT_IN_JSON = ("FP16", "BF16")
CODE_OF = {
    "BOOL": "?",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP32": "f",
    "FP64": "d",
}
"""The `struct` codes of the datatypes that are numbers or booleans in JSON."""

_MAX_DEPTH = 64  # NumPy has no more dimensions
_opening = re.compile(rb"[\[ \t\r\n]*").match
_WORDS = frozenset(("NaN", "Infinity", "-Infinity"))
_TYPE_OF: dict[str, Any] = {"BOOL": bool, "FP32": float, "FP64": float, "BYTES": str}


def element_type(datatype: str, *, words: bool = False) -> Any:
    """Return the type that msgspec checks each element for. With `words`, FP32 and FP64 may also be words, or null."""
    kind = _TYPE_OF.get(datatype, int)
    return float | str | None if words and kind is float else kind


def nested(kind: Any, depth: int) -> Any:
    """Return the type of lists of lists, `depth` deep."""
    for _ in range(depth):
        kind = GenericAlias(list, (kind,))
    return kind


@lru_cache(maxsize=512)
def _decoder(datatype: str, depth: int, *, words: bool = False) -> Callable[[bytes | msgspec.Raw], Any]:
    return msgspec.json.Decoder(nested(element_type(datatype, words=words), depth)).decode


@lru_cache(maxsize=4096)
def packer(code: str, count: int) -> Callable[..., bytes]:
    """Return a function that packs `count` numbers.

    It raises `struct.error` or `OverflowError` for a number that is out of range.
    """
    return struct.Struct(f"={count}{code}").pack


def decode_data(name: str, datatype: str, shape: tuple[int, ...], raw: bytes | msgspec.Raw) -> Tensor:
    """Return the array of `shape` that the JSON value `raw` holds.

    Raises:
        BadRequest: elements of another type, ragged nesting, another count than the shape needs, or a number that
            the datatype cannot hold.
    """
    refuse_datatype(name, datatype)
    depth = _depth(raw)
    elements, nesting = flatten(name, _parse(name, datatype, depth, raw), depth)
    if nesting != shape:
        if depth > 1 and elements:
            raise BadRequest(f"Tensor {name} is nested as {list(nesting)}, but its shape says {list(shape)}.")
        needed = math.prod(shape)
        if len(elements) != needed:
            raise BadRequest(f"Tensor {name} has {len(elements)} elements, but its shape {list(shape)} needs {needed}.")
    return build(name, datatype, elements, shape)


def refuse_datatype(name: str, datatype: str) -> None:
    """Raise `BadRequest` if an input's datatype cannot be sent as JSON."""
    if datatype in NOT_IN_JSON:
        raise BadRequest(f"Tensor {name}: {datatype} cannot be sent as JSON; send it as binary.")


def _parse(name: str, datatype: str, depth: int, raw: bytes | msgspec.Raw) -> Any:
    """Return the elements, checked for the datatype's type and nested as they came. FP32 and FP64 may hold words."""
    try:
        try:
            return _decoder(datatype, depth)(raw)
        except msgspec.ValidationError:
            return _decoder(datatype, depth, words=True)(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"Tensor {name}: {json_fault(error, raw)}.") from error


def flatten(name: str, value: Any, depth: int) -> tuple[list[Any], tuple[int, ...]]:
    """Return the elements of lists nested `depth` deep, and the length of each level.

    Raises:
        BadRequest: lists of one level differ in length.
    """
    level, shape = [value], []
    for _ in range(depth):
        lengths = set(map(len, level))
        if len(lengths) > 1:
            raise BadRequest(f"Tensor {name}: data is ragged, with rows of {min(lengths)} and of {max(lengths)}.")
        shape.append(max(lengths, default=0))
        level = level[0] if len(level) == 1 else list(chain.from_iterable(level))
    return level, tuple(shape)


def build(name: str, datatype: str, elements: Sequence[Any], shape: tuple[int, ...]) -> Tensor:
    """Return the array of these row-major elements. Their types have been checked; `shape` needs as many.

    Raises:
        BadRequest: an element is out of the datatype's range or an unknown word, or the shape is impossible.
    """
    try:
        if datatype == "BYTES":
            return tensor_of_bytes([each.encode() if type(each) is str else each for each in elements], shape)
        return np.ndarray(shape, NUMPY_OF[datatype], _packed(name, datatype, elements))
    except (struct.error, OverflowError) as error:
        raise BadRequest(f"Tensor {name}: a number does not fit {datatype}: {error}.") from error
    except ValueError as error:  # more dimensions than NumPy allows, or a huge one beside a zero
        raise BadRequest(f"Tensor {name} cannot have the shape {list(shape)}: {error}.") from error


def _packed(name: str, datatype: str, elements: Sequence[Any]) -> bytes:
    pack = packer(CODE_OF[datatype], len(elements))
    try:
        return pack(*elements)
    except struct.error:
        if _TYPE_OF.get(datatype) is not float:
            raise
    return _floats_with_words(name, datatype, elements).tobytes()


def _floats_with_words(name: str, datatype: str, elements: Sequence[Any]) -> Tensor:
    """Return numbers among which are words and nulls. NumPy reads them as it reads numbers, at its speed.

    Raises:
        BadRequest: there is another word.
        OverflowError: a number is finite, but not in the datatype.
    """
    for word in dict.fromkeys([each for each in elements if type(each) is str]):  # the first wrong one is named
        if word not in _WORDS:
            raise BadRequest(
                f"Tensor {name} holds {word!r}; beside numbers there are null, NaN, Infinity and -Infinity."
            )
    wide = np.array(elements, np.object_).astype(np.float64)
    with np.errstate(over="ignore"):
        numbers = wide.astype(NUMPY_OF[datatype])
    if np.isinf(numbers).sum() != np.isinf(wide).sum():
        raise OverflowError("float too large to pack with f format")
    return numbers


def _depth(raw: bytes | msgspec.Raw) -> int:
    """Return how many brackets open before the first element."""
    match = _opening(raw)
    depth = match[0].count(b"[") if match else 0
    if depth > _MAX_DEPTH:
        raise BadRequest(f"data is nested more than {_MAX_DEPTH} levels deep.")
    return depth


def texts(name: str, tensor: Tensor) -> list[str]:
    """Return the elements of a BYTES tensor as strings.

    Raises:
        BadRequest: an element is not UTF-8.
    """
    try:
        return [element.decode() for element in tensor.ravel().tolist()]
    except UnicodeDecodeError as error:
        raise BadRequest(
            f"Output {name} holds bytes that are not UTF-8, which JSON cannot carry; ask for it with binary_data: true."
        ) from error
