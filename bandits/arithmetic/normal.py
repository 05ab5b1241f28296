"""The cumulative distribution of the standard normal, and its inverse.

`cdf`: for x >= 0, P(Z > x) = exp(-x²/2) q(t) / (1 + x) with t = (x - 5)/(x + 5). As x runs over all positive numbers, t
runs over [-1, 1], and q is smooth: its Chebyshev series up to degree 24 leaves a rest below 1e-17. The idea is that of
Shepherd and Laframboise, "Chebyshev approximation of (1 + 2x) exp(x²) erfc x in 0 <= x < infinity" (Mathematics of
Computation 36, 1981). The coefficients below are that series for q, written in powers of t; they were computed with 60
digits. The relative error is below 2e-15 in both tails, down to 1e-307.

`quantile`: rational approximations by Wichura, "Algorithm AS 241: the percentage points of the normal distribution"
(Applied Statistics 37, 1988), the routine with 7 digits. It only places sample points, which needs no more.
"""

import numpy as np

from bandits.arithmetic.exponential import exp
from bandits.arithmetic.horner import Floats, horner
from bandits.arithmetic.logarithm import log

_TAIL = (
    0.46151582985003775,
    -0.09155228183400904,
    0.031030368425962847,
    0.010002352385229382,
    -0.026401042966267253,
    0.024536963243678652,
    -0.015170415403281224,
    0.006522000667783896,
    -0.0016760723371645697,
    7.791597409338999e-06,
    0.00018233410307611755,
    -5.36075811148722e-05,
    -9.895946159334735e-06,
    9.05982468125664e-06,
    -7.070628846317708e-08,
    -1.3074486019237587e-06,
    1.2844797106496329e-07,
    1.9627809920091192e-07,
    -2.6882021292802027e-08,
    -3.095201755804211e-08,
    4.022493382168632e-09,
    4.401159622759941e-09,
    -4.327297110081758e-10,
    -3.815816262632981e-10,
    2.5086998016979303e-11,
)
_FARTHEST = 40.0  # P(Z > 40) is below the least double
_GRAIN = 2.0**20

# AS 241, PPND7: numerators and denominators for the middle, the tails, and the far tails.
_MIDDLE = ((3.3871327179, 50.434271938, 159.29113202, 59.109374720), (1.0, 17.895169469, 78.757757664, 67.187563600))
_OUTER = ((1.4234372777, 2.7568153900, 1.3067284816, 0.17023821103), (1.0, 0.73700164250, 0.12021132975))
_FAR = ((6.6579051150, 3.0812263860, 0.42868294337, 0.017337203997), (1.0, 0.24197894225, 0.012258202635))


def cdf(x: Floats) -> Floats:
    """Return P(Z <= x) for any x, infinite ones included."""
    upper = _tail(np.minimum(np.abs(x), _FARTHEST))
    return np.where(x < 0, upper, 1 - upper)


def _tail(x: Floats) -> Floats:
    """Return P(Z > x) for x from 0 to 40.

    x² is rounded, which would cost up to x² / 2 in the last place. So x is split: the square of `coarse` is exact, and
    the rest enters by three terms of the series, since it is below 4e-5.
    """
    coarse = np.rint(x * _GRAIN) / _GRAIN
    rest = (x - coarse) * (x + coarse) / 2
    bell = exp(-(coarse * coarse) / 2) * (1 - rest * (1 - rest / 2 * (1 - rest / 3)))
    return bell * horner((x - 5) / (x + 5), _TAIL) / (1 + x)


def quantile(p: Floats) -> Floats:
    """Return the x with P(Z <= x) = p, for p from 1e-300 to 1 - 1e-16, to 7 digits."""
    from_middle = p - 0.5
    square = 0.180625 - from_middle * from_middle
    middle = from_middle * horner(square, _MIDDLE[0]) / horner(square, _MIDDLE[1])
    root = np.sqrt(-log(np.minimum(p, 1 - p)))
    outer = horner(root - 1.6, _OUTER[0]) / horner(root - 1.6, _OUTER[1])
    far = horner(root - 5, _FAR[0]) / horner(root - 5, _FAR[1])
    tail = np.where(root <= 5, outer, far)
    return np.where(np.abs(from_middle) <= 0.425, middle, np.where(from_middle < 0, -tail, tail))
