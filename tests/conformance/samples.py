"""Tensors to send: the extremes of each datatype, in any number of rows."""

from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np

from tests.conformance.clients import wire

_TEXTS = (b"", b"plain", "grün 😀".encode(), b'"quoted", \\ and\nlines', b"nul\0inside", b"x" * 300)
NO_TEXT = (b"\xff\xfe\x00\x80", b"\xc3\x28\x00\xff")
"""Bytes that are no UTF-8. They have one length: ONNX Runtime rejects several lengths with zero bytes in them."""


def extremes(datatype: str, *, as_json: bool = False) -> np.ndarray[Any, Any]:
    """Return a flat array. With `as_json`, its values survive every JSON library."""
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
    """Return `count` rows of three, filled with the extremes in turn."""
    return np.resize(extremes(datatype, as_json=as_json), (count, 3))


def tensor(name: str, array: np.ndarray[Any, Any], datatype: str | None = None) -> Mapping[str, Any]:
    """Return an array in the form in which a client process takes it."""
    names = {np.dtype(dtype): name for name, dtype in wire.NUMPY_OF.items()}
    return wire.tensor(name, datatype or names[array.dtype], array)


def bits(array: np.ndarray[Any, Any]) -> tuple[Any, ...]:
    """Return shape and bits, for a comparison in which NaN equals NaN and -0 differs from 0."""
    content = array.ravel().tolist() if array.dtype.kind == "O" else array.tobytes()
    return array.shape, content
