"""Evaluate a polynomial in a fixed order of operations."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def horner(x: Floats, coefficients: Sequence[float]) -> Floats:
    """Return c[0] + c[1] x + c[2] x² + ..., evaluated from the highest power down. There are at least two."""
    value = coefficients[-1] * x
    for coefficient in coefficients[-2:0:-1]:
        value += coefficient
        value *= x
    return value + coefficients[0]
