"""The inverse of the Cholesky factor of a positive definite matrix, in a fixed order of operations.

LAPACK takes another order on another processor, and may fuse a multiplication with an addition. Here numpy multiplies,
subtracts and divides element by element, one operation at a time, column after column, and adds nothing up by itself.
So the result is the same on every machine. 64 features take about a millisecond.
"""

import math
from typing import Any

import numpy as np

from bandits.errors import BanditError

Floats = np.ndarray[Any, np.dtype[np.float64]]


def inverse_factor(matrix: Floats) -> Floats:
    """Return the lower triangle W with W matrix W' = I, for a symmetric matrix of shape (d, d). It is left as it is.

    Raises:
        BanditError: if the matrix is not positive definite in double precision.
    """
    rest = matrix.copy()
    inverse: Floats = np.identity(len(matrix))
    for place in range(len(matrix)):
        pivot = float(rest[place, place])
        if not pivot > 0:
            raise BanditError("Choose a larger ridge penalty: with this one, the sums of contexts cannot be inverted.")
        root = math.sqrt(pivot)
        below = rest[place + 1 :, place] / root
        inverse[place, : place + 1] /= root
        rest[place + 1 :, place + 1 :] -= below[:, None] * below
        inverse[place + 1 :, : place + 1] -= below[:, None] * inverse[place, : place + 1]
    return inverse
