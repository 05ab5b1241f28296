"""Numbers and labels, read from the bytes in a record."""

from collections.abc import Sequence
from typing import Any

import ml_dtypes  # noqa: F401  # registers the type string bfloat16 with NumPy
import numpy as np

STRINGS = "|O"
"""The type string of an output of BYTES. Each element is preceded by its length."""

_LENGTH_BYTES = 4


def kept_instances(instances: int, kept: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return which of many instances are kept: `kept` indices, evenly spaced, with the first and the last."""
    indices: np.ndarray[tuple[int], np.dtype[np.int64]] = np.arange(kept) * (instances - 1) // max(kept - 1, 1)
    return indices


def floats(parts: Sequence[bytes], type_string: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return all numbers of all parts, in order."""
    return np.frombuffer(b"".join(parts), type_string).astype(np.float64)


def elements(content: bytes) -> list[bytes] | None:
    """Return the elements of an output of BYTES, or None if the last one is cut short."""
    found, at = [], 0
    while at < len(content):
        end = at + _LENGTH_BYTES + int.from_bytes(content[at : at + _LENGTH_BYTES], "little")
        found.append(content[at + _LENGTH_BYTES : end])
        at = end
    return found if at == len(content) else None
