"""The natural logarithm.

x = 2^n m with m between sqrt(1/2) and sqrt(2). With s = (m - 1)/(m + 1), ln m = 2 (s + s³/3 + s^5/5 + ...), and s² is
at most 0.0295, so the terms up to s^25 leave a rest below 1e-19. The relative error is below 1e-15.
"""

import numpy as np

from bandits.arithmetic.exponential import LN2_HIGH, LN2_LOW
from bandits.arithmetic.horner import Floats, horner

_ROOT_OF_HALF = 0.7071067811865476
_FRACTION, _EXPONENT_OF_HALF = (1 << 52) - 1, 1022 << 52
_ODD = tuple(1 / odd for odd in range(3, 26, 2))


def log(x: Floats) -> Floats:
    """Return ln x for x of at least 2.3e-308, which has all its bits."""
    bits = x.view(np.int64)
    exponent = (bits >> 52) - 1022
    fraction = ((bits & _FRACTION) | _EXPONENT_OF_HALF).view(np.float64)
    is_small = fraction < _ROOT_OF_HALF
    m = np.where(is_small, 2 * fraction, fraction)
    n = exponent - is_small.astype(np.float64)
    s = (m - 1) / (m + 1)
    square = s * s
    result: Floats = n * LN2_HIGH + (n * LN2_LOW + (2 * s + 2 * s * square * horner(square, _ODD)))
    return result


def log1p(x: Floats) -> Floats:
    """Return ln(1 + x) for x above -1, with all its digits where x is near 0.

    1 + x is rounded to u. What the rounding lost is x - (u - 1), and ln(u + lost) = ln u + lost / u to first order,
    which is all there is: lost / u is below 2^-53.
    """
    u = 1 + x
    return log(u) + (x - (u - 1)) / u
