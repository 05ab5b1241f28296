"""The exponential function.

x = n ln 2 + r with a whole n and |r| <= ln 2 / 2. Then e^x = 2^n e^r, and e^r comes from its Taylor series up to r^14,
whose rest is below 2e-19. ln 2 is split into two parts, of which the first has 32 bits, so n times it is exact.
The relative error is below 5e-16 for `exp` and below 1e-15 for `expm1`.
"""

import numpy as np

from bandits.arithmetic.horner import Floats, horner

LN2_HIGH = 0.6931471803691238
LN2_LOW = 1.9082149292705877e-10
_LN2 = 0.6931471805599453
_LEAST = -708.0  # e^-708 is about the least number with all its bits, 2^-1022

# 1/2!, 1/3!, ..., 1/14!. Each factorial and each quotient is exact or correctly rounded.
_FACTORIALS = (
    2,
    6,
    24,
    120,
    720,
    5040,
    40_320,
    362_880,
    3_628_800,
    39_916_800,
    479_001_600,
    6_227_020_800,
    87_178_291_200,
)
_TAYLOR = tuple(1 / factorial for factorial in _FACTORIALS)


def exp(x: Floats) -> Floats:
    """Return e^x. It is 0 below -708, where doubles begin to lose bits, and infinite above 709.4."""
    n, fraction = _reduced(np.maximum(x, _LEAST))
    return np.where(x < _LEAST, 0.0, (1 + fraction) * _power_of_two(n))


def expm1(x: Floats) -> Floats:
    """Return e^x - 1 for x of at most 709, with all its digits where x is near 0."""
    n, fraction = _reduced(np.maximum(x, _LEAST))
    power = _power_of_two(n)
    return power * fraction + (power - 1)


def _reduced(x: Floats) -> tuple[Floats, Floats]:
    """Return n and e^r - 1 of x = n ln 2 + r."""
    n = np.rint(x * (1 / _LN2))
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    return n, r + r * r * horner(r, _TAYLOR)


def _power_of_two(n: Floats) -> Floats:
    """Return 2^n for whole n from -1022 on, by the bits of its exponent. From 1024 on it is infinite."""
    power: Floats = ((np.minimum(n, 1024).astype(np.int64) + 1023) << 52).view(np.float64)
    return power
