"""The linear model of an arm as integers, in which form it is part of a policy version.

With theta = A^-1 b and W the inverse of the Cholesky factor of A, the score of a context x is theta'x, and the variance
x'A^-1 x is the sum of squares of W x. Squares cannot cancel, unlike the terms of x'A^-1 x, whose entries stay large
along directions that no context has, such as that between the intercept and a category.

theta and W are multiplied by a power of two each and rounded to integers, as large as `MOST_ROW_SUM` allows. The
vectors of contexts are integers in [0, SCALE], so an inner product is below 2^63 and exact in 64 bits, in any order,
with any instruction set. The integers are below 2^53, so any reader of JSON reads them exactly.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from bandits.errors import BanditError

MOST_ROW_SUM = 2**49
"""The most that the absolute integers of a row may add up to: times SCALE = 2^13, it is 2^62."""

_BITS = 48  # one less than MOST_ROW_SUM has, since rounding may add 1/2 for each feature


class LinearModel(NamedTuple):
    """What scores of an arm need.

    `theta` has d integers, in units of 2^-theta_bits. `factor` is the lower triangle of W, row by row: d (d + 1) / 2
    integers, in units of 2^-factor_bits.
    """

    theta: tuple[int, ...]
    theta_bits: int
    factor: tuple[int, ...]
    factor_bits: int


def quantised(theta: Sequence[float], factor: Sequence[Sequence[float]]) -> LinearModel:
    """Return the model of a coefficient vector and of the lower triangle W."""
    theta_bits, factor_bits = _bits([theta]), _bits(factor)
    return LinearModel(
        tuple(_integers(theta, theta_bits)),
        theta_bits,
        tuple(number for row in factor for number in _integers(row, factor_bits)),
        factor_bits,
    )


def triangle(numbers: Sequence[int], size: int) -> list[Sequence[int]]:
    """Return the rows of a lower triangle: row i has i + 1 numbers."""
    starts = [row * (row + 1) // 2 for row in range(size + 1)]
    return [numbers[start:end] for start, end in pairwise(starts)]


def check(model: LinearModel, size: int) -> None:
    """Check a model that was read from elsewhere.

    Raises:
        BanditError: if it is not one of `size` features, or so large that a score could overflow.
    """
    if len(model.theta) != size or len(model.factor) != size * (size + 1) // 2:
        raise BanditError(f"Refit the models: one has {len(model.theta)} features, the context has {size}.")
    if any(sum(map(abs, row)) > MOST_ROW_SUM for row in (model.theta, *triangle(model.factor, size))):
        raise BanditError("Refit the models: the numbers of one are so large that a score could overflow.")


def _bits(rows: Sequence[Sequence[float]]) -> int:
    """Return the power of two that makes the largest row as large as allowed."""
    largest = max(math.fsum(map(abs, row)) for row in rows)
    return _BITS - math.frexp(largest)[1]


def _integers(row: Sequence[float], bits: int) -> list[int]:
    return [round(math.ldexp(number, bits)) for number in row]
