"""Tensors to send: for each datatype its extremes, and as many rows as are wanted."""

from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np

from tests.conformance.clients import wire

_TEXTS = (b"", b"plain", "grün 😀".encode(), b'"quoted", \\ and\nlines', b"nul\0inside", b"x" * 300)
NO_TEXT = (b"\xff\xfe\x00\x80", b"\xc3\x28\x00\xff")
"""Bytes that are no UTF-8, all of one length: of several lengths, with zero bytes, ONNX Runtime does not take them."""


def extremes(datatype: str, *, as_json: bool = False) -> np.ndarray[Any, Any]:
    """A flat array. With `as_json`, of values that every JSON library writes so that they can be read back."""
    dtype = np.dtype(wire.NUMPY_OF[datatype])
    if datatype == "BYTES":
        return np.array(_TEXTS, np.object_)
    if datatype == "BOOL":
        return np.array([True, False, True, True, False, False])
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        return np.array([bounds.min, bounds.max, bounds.max // 2 + 1, 0, 1, bounds.max - 1], dtype)
    bounds = (ml_dtypes if datatype == "BF16" else np).finfo(dtype)
    finite = [0.0, -0.0, 1.0, float(bounds.max), float(bounds.min), float(bounds.tiny), 1 / 3, -2.5]
    values = finite if as_json else [*finite, np.inf, -np.inf, np.nan]
    with np.errstate(over="ignore"):
        return np.array(values).astype(dtype)


def rows(datatype: str, count: int, *, as_json: bool = False) -> np.ndarray[Any, Any]:
    """`count` rows of three, of extremes in turn."""
    return np.resize(extremes(datatype, as_json=as_json), (count, 3))


def tensor(name: str, array: np.ndarray[Any, Any], datatype: str | None = None) -> Mapping[str, Any]:
    """An array as a client is given it."""
    names = {np.dtype(dtype): name for name, dtype in wire.NUMPY_OF.items()}
    return wire.tensor(name, datatype or names[array.dtype], array)


def bits(array: np.ndarray[Any, Any]) -> tuple[Any, ...]:
    """What is compared: shape, and every bit, so that NaN equals NaN and -0 is not 0."""
    content = array.ravel().tolist() if array.dtype.kind == "O" else array.tobytes()
    return array.shape, content
