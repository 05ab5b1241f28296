"""Weights from estimates: the probability that each arm is best, and a floor."""

from functools import cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from bandits.estimates.estimates import Estimates

FLOOR = 0.02
_POINTS = 2048

Floats = npt.NDArray[np.float64]


def weights_of(estimates: Estimates) -> Floats:
    """Return the weights of the arms, none of which is below the floor."""
    best = best_of(estimates)
    return FLOOR + (1 - FLOOR * len(best)) * best


def best_of(estimates: Estimates) -> Floats:
    """Return P(best) of normals with this covariance: of two arms exactly, of more from a fixed set of points."""
    covariance = np.array(estimates.covariance)
    if len(covariance) == 2:
        error = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
        first = NormalDist().cdf((estimates.means[0] - estimates.means[1]) / error)
        return np.array([first, 1 - first])
    draws = np.array(estimates.means) + _points(len(covariance)) @ np.linalg.cholesky(covariance).T
    return np.bincount(draws.argmax(axis=1), minlength=len(covariance)) / _POINTS


@cache
def _points(arms: int) -> Floats:
    """Return points of a normal distribution, by multiples of the roots of x**(arms + 1) = x + 1 (Roberts, 2018)."""
    root = 2.0
    for _ in range(50):
        root = (1 + root) ** (1 / (arms + 1))
    fractions = (0.5 + np.outer(np.arange(1, _POINTS + 1), root ** -np.arange(1.0, arms + 1))) % 1
    return np.vectorize(NormalDist().inv_cdf)(fractions)  # type: ignore[no-any-return]
