"""What Stirling's formula leaves out of the logarithm of the gamma function.

    ln gamma(a) = (a - 1/2) ln a - a + ln(2 pi)/2 + remainder(a)

The normalising constant of a Beta distribution needs the remainder alone: the large terms of its three gamma functions
cancel on paper, where in numbers they would cost eight digits at a hundred million decisions.
"""

import numpy as np

from bandits.arithmetic.horner import Floats, horner
from bandits.arithmetic.logarithm import log

# B(2k) / (2k (2k - 1)), B being Bernoulli's numbers: Abramowitz and Stegun, 6.1.40.
_SERIES = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360_360, 1 / 156)
_SHIFT = 10


def stirling_remainder(a: Floats) -> Floats:
    """Return the remainder for positive a, with an absolute error below 1e-14.

    The series holds for a >= 10. Below, gamma(a) = gamma(a + 10) / (a (a + 1) ... (a + 9)) leads there.
    """
    is_small = a < _SHIFT
    shifted = np.where(is_small, a + _SHIFT, a)
    remainder = horner(1 / (shifted * shifted), _SERIES) / shifted
    small = np.where(is_small, a, 1.0)
    rising = small + 0
    for step in range(1, _SHIFT):
        rising = rising * (small + step)
    above = small + _SHIFT
    moved = (above - 0.5) * log(above) - (small - 0.5) * log(small) - log(rising) - _SHIFT
    return np.where(is_small, remainder + moved, remainder)
