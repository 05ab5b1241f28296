"""P(best) of independent Beta posteriors.

The integral runs over the log-odds y = ln(x / (1 - x)). There the density of Beta(a, b) is smooth for all a and b, with
exponential tails: x^a (1 - x)^b / B(a, b). It is taken relative to its mode, which is at ln(a / b):

    ln density = a d - (a + b) ln(1 + a/(a + b) (e^d - 1)) + ln(a b / (a + b))/2 - ln(2 pi)/2 - R(a) - R(b) + R(a + b)

with d = y - ln(a / b) and R the remainder of Stirling's formula. If a > b, the two change places and d its sign. Then
no term is much greater than the result wherever there is mass, so a hundred million decisions cost no digits.
"""

import math
from collections.abc import Sequence

import numpy as np

from bandits.arithmetic.exponential import expm1
from bandits.arithmetic.horner import Floats
from bandits.arithmetic.logarithm import log, log1p
from bandits.arithmetic.stirling import stirling_remainder
from bandits.best.finite import check_finite
from bandits.best.quadrature import share_best
from bandits.errors import BanditError

_LOG_ROOT_OF_TWO_PI = 0.9189385332046728
# In spreads. They are closer than those of a normal, because the log-odds of few successes among many are skewed.
_BREAKPOINTS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 9.0)
_LEAST = 0.5  # below, tails are longer than the grid
_TAILS = (15.0, 25.0, 45.0)  # e^-45 = 3e-20


def best_of_betas(a: Sequence[float], b: Sequence[float]) -> tuple[float, ...]:
    """Return the probability that each of several independent Beta(a, b) is the greatest.

    Raises:
        BanditError: if a parameter is not finite, or below 0.5.
    """
    check_finite((*a, *b), "The parameters")
    if min(*a, *b) < _LEAST:
        raise BanditError(f"The parameters of Beta posteriors must be at least {_LEAST}, not {min(*a, *b)}.")
    ups, downs = np.array(a, np.float64), np.array(b, np.float64)
    both = ups + downs
    modes = log(ups) - log(downs)
    fewer = np.minimum(ups, downs)
    shares = (fewer / both)[:, None, None]
    signs = np.where(ups > downs, -1.0, 1.0)[:, None, None]
    constants = (log(ups) + log(downs) - log(both)) / 2 - _LOG_ROOT_OF_TWO_PI
    constants = constants - stirling_remainder(ups) - stirling_remainder(downs) + stirling_remainder(both)

    def log_density(points: Floats) -> Floats:
        distance = signs * (points - modes[:, None, None])
        terms = fewer[:, None, None] * distance - both[:, None, None] * log1p(shares * expm1(distance))
        return terms + constants[:, None, None]

    breakpoints: list[float] = []
    for mode, up, down in zip(modes.tolist(), ups.tolist(), downs.tolist(), strict=True):
        spread = math.sqrt(1 / up + 1 / down)
        breakpoints += [mode + sign * each * spread for each in _BREAKPOINTS for sign in (-1, 1)]
        breakpoints += [mode - each / up for each in _TAILS if each / up > _BREAKPOINTS[-1] * spread]
        breakpoints += [mode + each / down for each in _TAILS if each / down > _BREAKPOINTS[-1] * spread]
    return share_best(log_density, breakpoints)
