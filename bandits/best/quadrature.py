"""P(best) of independent posteriors by piecewise Gauss-Legendre quadrature with 8 nodes.

    P(k is best) = integral of f_k(x) times the product over i != k of F_i(x)

All arms share one grid. Its intervals lie between the breakpoints that each posterior asks for, so that every density
is smooth within an interval however narrow it is. Only the densities are needed: F at a node is the area of the
intervals before it, plus the integral of the polynomial of degree 7 through the densities at the interval's nodes. This
is collocation at Gauss points, whose error over an interval is of order 16 (Hairer, Nørsett, Wanner, "Solving Ordinary
Differential Equations I", section II.7).

A grid that missed part of a posterior would give numbers that look like probabilities. So the area under each density
must be 1, and so must the sum of the results, before they are normalised.
"""

from collections.abc import Callable, Iterable

import numpy as np

from bandits.arithmetic.exponential import exp
from bandits.arithmetic.horner import Floats
from bandits.errors import BanditError

_POSITIVE_NODES = (0.1834346424956498, 0.525532409916329, 0.7966664774136267, 0.9602898564975363)
_POSITIVE_WEIGHTS = (0.362683783378362, 0.31370664587788727, 0.22238103445337448, 0.10122853629037626)
NODES = tuple(-x for x in reversed(_POSITIVE_NODES)) + _POSITIVE_NODES
WEIGHTS = tuple(reversed(_POSITIVE_WEIGHTS)) + _POSITIVE_WEIGHTS
_TOLERANCE = 1e-9

LogDensity = Callable[[Floats], Floats]


def _legendre(x: float) -> list[float]:
    """Return the Legendre polynomials of degree 0 to 8 at x."""
    values = [1.0, x]
    for k in range(1, 8):
        values.append(((2 * k + 1) * x * values[k] - k * values[k - 1]) / (k + 1))
    return values


def _integral_to_node(node: float, source: float, weight: float) -> float:
    """Return the integral from -1 to `node` of the polynomial that is 1 at `source` and 0 at the other nodes.

    That polynomial is weight times the sum over k < 8 of (k + 1/2) P_k(source) P_k(x), and the integral of
    (2k + 1) P_k is P_{k+1} - P_{k-1}.
    """
    at_node, at_source = _legendre(node), _legendre(source)
    total = node + 1
    for k in range(1, 8):
        total += at_source[k] * (at_node[k + 1] - at_node[k - 1])
    return weight / 2 * total


# By source: what its density adds to the integrals up to each of the 8 nodes.
_TO_NODES = tuple(
    np.array([_integral_to_node(node, source, weight) for node in NODES])
    for source, weight in zip(NODES, WEIGHTS, strict=True)
)


def share_best(log_density: LogDensity, breakpoints: Iterable[float]) -> tuple[float, ...]:
    """Return the probability that each arm is best. They sum to 1 within 1e-15 times the number of arms.

    `log_density` takes points of shape (intervals, 8) and returns the logarithms of the densities, with the arms as a
    further first axis. `breakpoints` may be in any order; the densities must be negligible beyond them.

    Raises:
        BanditError: if an area or the sum of the probabilities is not 1 within 1e-9.
    """
    edges = np.array(sorted(set(breakpoints)))
    half = (edges[1:] - edges[:-1])[:, None] / 2
    points = (edges[1:] + edges[:-1])[:, None] / 2 + half * np.array(NODES)
    densities = exp(log_density(points))
    below = _cumulative(densities, half)
    weighted = densities * (half * np.array(WEIGHTS))
    shares = [_sum(each) for each in weighted * _products_of_others(below)]
    total = _check_one(_sum(np.array(shares)))
    return tuple(share / total for share in shares)


def _cumulative(densities: Floats, half: Floats) -> Floats:
    """Return the probability below each point, per arm."""
    within = densities[..., 0, None] * _TO_NODES[0]
    area = densities[..., 0] * WEIGHTS[0]
    for source in range(1, 8):
        within = within + densities[..., source, None] * _TO_NODES[source]
        area = area + densities[..., source] * WEIGHTS[source]
    up_to = np.add.accumulate(area * half[:, 0], axis=1)
    for mass in up_to[:, -1]:
        _check_one(float(mass))
    before = np.zeros_like(up_to)
    before[:, 1:] = up_to[:, :-1]
    # In a far tail the polynomial may be below zero by a rounding error.
    below: Floats = np.maximum(before[..., None] + half * within, 0.0)
    return below


def _products_of_others(below: Floats) -> Floats:
    """Return, for each arm, the product of the other arms' probabilities, without a division."""
    products = np.ones_like(below)
    left, right = np.ones_like(below[0]), np.ones_like(below[0])
    for arm in range(len(below)):
        products[arm] *= left
        left = left * below[arm]
    for arm in reversed(range(len(below))):
        products[arm] *= right
        right = right * below[arm]
    return products


def _sum(values: Floats) -> float:
    """Add from the first to the last. `numpy.sum` may take another order on another processor."""
    return float(np.add.accumulate(values.reshape(-1))[-1])


def _check_one(mass: float) -> float:
    if not abs(mass - 1) < _TOLERANCE:
        raise BanditError(f"The posteriors have a mass of {mass!r} on their grid, not 1; check means and variances.")
    return mass
