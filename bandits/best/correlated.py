"""P(best) of correlated normal posteriors, of which only contrasts need to be known.

Of two arms, it is the normal distribution of their difference, exactly. Of more, arm k is best if the contrasts with
all others, X_j - X_k, are below 0 at once. That is an orthant probability of K - 1 correlated normals. It is computed
by separation of variables: the contrasts are written by a triangular factor as sums of independent normals, and the
i-th one is drawn below its limit given those before it. The product of the probabilities of staying below is what is
averaged. Source: Genz, "Numerical computation of multivariate normal probabilities" (Journal of Computational and
Graphical Statistics 1, 1992). The contrast that is most likely violated comes first, as he advises.

The points are fixed: multiples of square roots of primes modulo 1 (Richtmyer), folded by |2u - 1|. So equal arguments
give equal results. The error is below 0.001 where errors of arms are correlated as those of effects are, and below 0.01
where contrasts nearly follow from each other (of 4 to 20 arms, against six million draws; the worst were .0005, and
.006 of 10 arms whose errors come from 5 numbers).

Two arms whose difference has no variance are one arm here: of these, the one with the higher mean counts, and equal
ones share. So without any variance, the greatest means share equally.
"""

import math
from collections.abc import Sequence

import numpy as np

from bandits.arithmetic.horner import Floats
from bandits.arithmetic.normal import cdf, quantile
from bandits.best.finite import check_finite
from bandits.best.normal import best_of_normals
from bandits.errors import BanditError

POINTS = 1024
_PRIMES = (
    2,
    3,
    5,
    7,
    11,
    13,
    17,
    19,
    23,
    29,
    31,
    37,
    41,
    43,
    47,
    53,
    59,
    61,
    67,
    71,
    73,
    79,
    83,
    89,
    97,
    101,
    103,
    107,
)
MOST_ARMS = len(_PRIMES) + 2
_NEGLIGIBLE = 1e-12  # of a variance: what rounding leaves of a difference that has none
_CERTAIN = 40.0
_TOLERANCE = 0.1  # of the sum of all arms, before it is divided by

Matrix = Sequence[Sequence[float]]


def best_of_correlated(means: Sequence[float], covariance: Matrix) -> tuple[float, ...]:
    """Return the probability that each arm is best, given the covariance of their errors (arms x arms, symmetric).

    Raises:
        BanditError: if there are more arms than `MOST_ARMS`, a number is not finite, or the matrix is no covariance.
    """
    check_finite(means, "The means")
    check_finite((value for row in covariance for value in row), "The covariances")
    groups = _groups(means, covariance)
    heads = [group[0] for group in groups]
    shares = _best_of_distinct([means[arm] for arm in heads], [[covariance[i][j] for j in heads] for i in heads])
    result = [0.0] * len(means)
    for group, share in zip(groups, shares, strict=True):
        for arm in group:
            result[arm] = share / len(group)
    return tuple(result)


def _groups(means: Sequence[float], covariance: Matrix) -> list[list[int]]:
    """Return the arms whose differences vary, each with those that equal it. Arms surely worse are left out."""
    groups: list[list[int]] = []
    for arm, mean in enumerate(means):
        same = next((group for group in groups if _difference_variance(covariance, group[0], arm) == 0), None)
        if same is None:
            groups.append([arm])
        elif mean == means[same[0]]:
            same.append(arm)
        elif mean > means[same[0]]:
            same[:] = [arm]
    return groups


def _difference_variance(covariance: Matrix, i: int, j: int) -> float:
    variance = (covariance[i][i] - covariance[i][j]) + (covariance[j][j] - covariance[i][j])
    scale = abs(covariance[i][i]) + abs(covariance[j][j])
    if not variance >= -_NEGLIGIBLE * scale:
        raise BanditError(f"The difference of arms {i} and {j} has a variance of {variance!r}, which is below zero.")
    return variance if variance > _NEGLIGIBLE * scale else 0.0


def _best_of_distinct(means: Sequence[float], covariance: Matrix) -> tuple[float, ...]:
    count = len(means)
    if count == 1:
        return (1.0,)
    if count == 2:
        spread = math.sqrt(_difference_variance(covariance, 0, 1))
        first = float(cdf(np.array((means[0] - means[1]) / spread)))
        return first, 1 - first
    if count > MOST_ARMS:
        raise BanditError(f"P(best) of correlated arms is known for at most {MOST_ARMS} arms, not {count}.")
    common = _common(covariance)
    if common is not None:
        return best_of_normals(means, [math.sqrt(covariance[k][k] - common) for k in range(count)])
    return _by_separation(means, covariance)


def _common(covariance: Matrix) -> float | None:
    """Return the covariance of every two arms if it is one number that leaves independent errors, else None."""
    count = len(covariance)
    common = covariance[0][1]
    is_common = all(covariance[i][j] == common for i in range(count) for j in range(count) if i != j)
    return common if is_common and all(covariance[k][k] > common for k in range(count)) else None


def _by_separation(means: Sequence[float], covariance: Matrix) -> tuple[float, ...]:
    """Return the probabilities by the method of this module's docstring, all arms side by side: (arms, points)."""
    systems = [_system(k, means, covariance) for k in range(len(means))]
    gaps = np.array([gaps for gaps, _ in systems])
    factors = np.array([factor for _, factor in systems])
    product = np.ones((len(means), POINTS))
    normals: list[Floats] = []
    for i in range(len(means) - 1):
        room = gaps[:, i, None] - np.zeros(POINTS)
        for j, normal in enumerate(normals):
            room = room - factors[:, i, j, None] * normal
        own = factors[:, i, i, None]
        limit = np.where(own > 0, room / np.where(own > 0, own, 1.0), np.where(room < 0, -_CERTAIN, _CERTAIN))
        below = cdf(limit)
        product = product * below
        if i < len(means) - 2:
            normals.append(quantile(np.maximum(_points(i) * below, 1e-300)))
    shares = (np.add.accumulate(product, axis=1)[:, -1] / POINTS).tolist()
    total = 0.0
    for share in shares:
        total += share
    if not abs(total - 1) < _TOLERANCE:
        raise BanditError(f"The probabilities of being best sum to {total!r}, not 1; check means and covariance.")
    return tuple(share / total for share in shares)


def _points(dimension: int) -> Floats:
    """Return a coordinate of the fixed points, in (0, 1)."""
    step = math.sqrt(_PRIMES[dimension])
    multiples = np.arange(1, POINTS + 1) * step
    folded: Floats = np.abs(2 * (multiples - np.floor(multiples)) - 1)
    return np.minimum(folded, 1 - 1e-12)


def _system(k: int, means: Sequence[float], covariance: Matrix) -> tuple[list[float], list[list[float]]]:
    """Return the limits of the contrasts X_j - X_k and the triangular factor of their covariance, in their order."""
    variances = {j: _difference_variance(covariance, j, k) for j in range(len(means)) if j != k}
    roots = {j: math.sqrt(variance) for j, variance in variances.items()}
    order = sorted(variances, key=lambda j: ((means[k] - means[j]) / roots[j], j))
    rows: list[list[float]] = []
    for position, j in enumerate(order):
        row = [0.0] * len(order)
        for earlier, other in enumerate(order[:position]):
            value = covariance[k][k] - covariance[k][j] - covariance[k][other] + covariance[j][other]
            for column in range(earlier):
                value -= row[column] * rows[earlier][column]
            pivot = rows[earlier][earlier]
            row[earlier] = value / pivot if pivot > 0 else 0.0
        left = variances[j]
        for column in range(position):
            left -= row[column] * row[column]
        row[position] = math.sqrt(left) if left > _NEGLIGIBLE * variances[j] else 0.0
        rows.append(row)
    return [means[k] - means[j] for j in order], rows
