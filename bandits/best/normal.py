"""P(best) of independent normal posteriors."""

from collections.abc import Sequence

import numpy as np

from bandits.arithmetic.horner import Floats
from bandits.arithmetic.logarithm import log
from bandits.best.finite import check_finite
from bandits.best.quadrature import share_best
from bandits.best.ties import share_among_highest

BREAKPOINTS = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 9.0)  # in spreads, to both sides: beyond 9 lies 2e-19
_LOG_ROOT_OF_TWO_PI = 0.9189385332046728
_LEAST_SPREAD = 1e-6


def best_of_normals(means: Sequence[float], spreads: Sequence[float]) -> tuple[float, ...]:
    """Return the probability that each of several independent normals is the greatest.

    A spread (standard deviation) below a millionth of the widest counts as that, which changes a probability by less
    than 1e-6. If all are zero, the greatest means share equally.

    Raises:
        BanditError: if a mean or a spread is not finite.
    """
    check_finite((*means, *spreads), "Means and spreads")
    widest = max(spreads)
    if widest == 0:
        return share_among_highest(means)
    centres = np.array(means)
    widths = np.maximum(np.array(spreads), widest * _LEAST_SPREAD)
    constants = log(widths) + _LOG_ROOT_OF_TWO_PI

    def log_density(points: Floats) -> Floats:
        distance = (points - centres[:, None, None]) / widths[:, None, None]
        logarithms: Floats = -(distance * distance) / 2 - constants[:, None, None]
        return logarithms

    offsets = [sign * each for each in BREAKPOINTS for sign in (-1, 1)]
    return share_best(
        log_density, [float(m + each * s) for m, s in zip(centres, widths, strict=True) for each in offsets]
    )
