"""P(best) of a few independent normals, fast enough for each request: within 1e-6, in tens of microseconds.

    P(k is best) = integral of f_k(x) times the product over i != k of F_i(x)

An arm's span is its mean plus and minus 5.2 spreads; 1e-7 lies beyond each end. An arm whose span ends before another
one's begins is never best. All other arms share one grid, from the highest beginning to the highest end.

- Of two arms, the one is greater with the probability that their difference, which is normal, is above 0.
- The grid is even, with a step of half of the narrowest spread, if it then has few points. The integrand is smooth and
  0 at both ends, so the sum of its values converges faster than any power of the step (Trefethen and Weideman, "The
  exponentially convergent trapezoidal rule", 2014). Four arms of equal spread need some 25 points.
- Where spreads differ much, the rule is piecewise Gauss-Legendre with 8 nodes. The narrowest arm divides its own span
  by its breakpoints. A wider arm adds its breakpoints outside the spans of narrower ones, since within them the grid is
  already finer than the wider arm needs.

`bandits/best` is the exact rule, for posteriors that are looked at once per version. Sums run in a fixed order, and of
the arithmetic see `normal_table.py`: results are the same on every machine.
"""

import math
from collections.abc import Sequence

import numpy as np

from bandits.best.ties import share_among_highest
from bandits.linear.cholesky import Floats
from bandits.linear.normal_table import STEPS, distribution, probability_below

_END = 5.2
_HALF = 2.6
_LEAST_SPREAD = 1e-6
"""A spread below this share of the widest counts as that: no probability changes by more than 1e-6."""

_STEP = 0.5
_MOST_POINTS = 128
_COUNTING = np.arange(_MOST_POINTS, dtype=np.float64)

# The positive nodes and their weights on [-1, 1] (Abramowitz and Stegun, table 25.4).
_NODES = (0.1834346424956498, 0.525532409916329, 0.7966664774136267, 0.9602898564975363)
_WEIGHTS = (0.362683783378362, 0.31370664587788727, 0.22238103445337448, 0.10122853629037626)
_PLACES = np.array([(1 - node) / 2 for node in reversed(_NODES)] + [(1 + node) / 2 for node in _NODES])
_SHARES = np.array([weight / 2 for weight in (*reversed(_WEIGHTS), *_WEIGHTS)])


def fast_best(means: Sequence[float], spreads: Sequence[float]) -> tuple[float, ...]:
    """Return the probability that each of several independent normals is the greatest. They sum to 1 within 1e-15.

    Means and spreads (standard deviations) must be finite. If all spreads are 0, the greatest means share equally.
    """
    least = max(spreads) * _LEAST_SPREAD
    arms = sorted(
        (max(spread, least), mean, arm) for arm, (mean, spread) in enumerate(zip(means, spreads, strict=True))
    )
    low = max([mean - _END * spread for spread, mean, _ in arms])
    rivals = [each for each in arms if each[1] + _END * each[0] > low]
    if not rivals or not least:
        return share_among_highest(means)
    if len(rivals) == 1:
        return tuple([float(arm == rivals[0][2]) for arm in range(len(means))])
    shares = [0.0] * len(means)
    if len(rivals) == 2:
        (narrow, first, one), (wide, second, other) = rivals
        ratio = narrow / wide
        shares[one] = probability_below((first - second) / wide / math.sqrt(1 + ratio * ratio))
        shares[other] = 1 - shares[one]
        return tuple(shares)
    for (_, _, arm), share in zip(rivals, _shares(rivals, low), strict=True):
        shares[arm] = share
    total = math.fsum(shares)
    return tuple([share / total for share in shares])


def _shares(rivals: list[tuple[float, float, int]], low: float) -> list[float]:
    """Return the integral for each of the arms, given by spread and mean, the narrowest first."""
    step = _STEP * rivals[0][0]
    count = int((max([mean + _END * spread for spread, mean, _ in rivals]) - low) / step) + 2
    if count <= _MOST_POINTS:
        # The step is a factor of every area, and areas are divided by their sum.
        return _areas(rivals, low + step * _COUNTING[:count], None)
    edges = np.array(_edges(rivals, low))
    begins = edges[:-1, None]
    lengths = edges[1:, None] - begins
    points = (begins + lengths * _PLACES).reshape(-1)
    return _areas(rivals, points, (lengths * _SHARES).reshape(-1))


def _areas(rivals: list[tuple[float, float, int]], points: Floats, shares: Floats | None) -> list[float]:
    """Return the sum over the points of each arm's density times the distributions of the others, times the shares."""
    sides = np.array([(STEPS / spread, mean) for spread, mean, _ in rivals])
    below, density = distribution((points - sides[:, 1:]) * sides[:, :1])
    # All points are above each rival's low end, so `below` is at least 1e-7 and may divide.
    all_below = np.multiply.accumulate(below, axis=0)[-1]
    if shares is not None:
        all_below *= shares
    density *= all_below
    density /= below
    areas = np.add.accumulate(density, axis=1)[:, -1].tolist()  # accumulate goes from the first to the last
    return [area / spread for area, (spread, _, _) in zip(areas, rivals, strict=True)]


def _edges(rivals: list[tuple[float, float, int]], low: float) -> list[float]:
    """Return the ends of the intervals, ascending."""
    edges = [low]
    spans: list[tuple[float, float]] = []
    for spread, mean, _ in rivals:
        reach, half = _END * spread, _HALF * spread
        begin, end = mean - reach, mean + reach
        for edge in (begin, mean - half, mean, mean + half, end):
            if edge > low:
                for first, last in spans:
                    if first <= edge <= last:
                        break
                else:
                    edges.append(edge)
        spans.append((begin, end))
    return sorted(edges)
