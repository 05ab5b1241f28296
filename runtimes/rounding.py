"""Says if two answers are the same but for rounding.

Floats may differ as another order of summation explains: by `_RELATIVE` of the value, and by `_OF_ROW` of the largest
value of the tensor.
"""

from typing import Any

import numpy as np

from runtimes.datatypes import NUMPY_OF, Tensor

_RELATIVE, _OF_ROW = 1e-4, 1e-6
_SHORT = (NUMPY_OF["FP16"], NUMPY_OF["BF16"])
_SHORTER = 200.0
"""Numbers of 16 bits are rounded so much more coarsely that 2 % of the value must do."""


def _wide(tensor: Tensor) -> np.ndarray[Any, np.dtype[np.float64]]:
    return tensor.astype(np.float64)


def scale(tensor: Tensor) -> float:
    """Return the largest finite magnitude of a tensor; 0 for strings."""
    if tensor.dtype.kind == "O" or not tensor.size:
        return 0.0
    wide = np.abs(_wide(tensor))
    return float(np.max(wide, initial=0.0, where=np.isfinite(wide)))


def distance(left: Tensor, right: Tensor) -> float:
    """Return the largest difference; infinity if NaN or infinity stands in other places."""
    one, other = _wide(left), _wide(right)
    odd = ~np.isfinite(one) | ~np.isfinite(other)
    if not np.array_equal(one[odd], other[odd], equal_nan=True):
        return float("inf")
    return float(np.max(np.abs(one - other), initial=0.0, where=~odd))


def same(left: Tensor, right: Tensor, floor: float = 0.0) -> bool:
    """Return True if two tensors are the same but for rounding. Differences up to `floor` do not count."""
    if left.shape != right.shape or left.dtype.kind in "biuO":
        return np.array_equal(left, right)
    factor = _SHORTER if left.dtype in _SHORT else 1.0
    absolute = floor + factor * _OF_ROW * scale(right)
    return np.allclose(_wide(left), _wide(right), rtol=factor * _RELATIVE, atol=absolute, equal_nan=True)
