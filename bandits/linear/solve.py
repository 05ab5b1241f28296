"""From the sums of an arm to its linear model: ridge regression on time buckets with weights.

    A = ridge I + sum of w x x'        b = sum of w (r - level) x        theta = A^-1 b

`w` is the weight of a bucket: 1, or less for an older one (discount), or 0 outside a window. `level` is the level of
reward in the bucket that all arms share. If it moves, as between day and night, and the weights of the arms move, too,
then arms that got their decisions at good times look good. Subtracting the level removes that; `levels.py` finds it
from the sums. A level of 0 subtracts nothing.

The ridge penalty counts as `ridge` decisions, for each feature, whose reward was the level. So an arm without decisions
scores 0, with the spread sqrt(x'x / ridge).

Source: Li, Chu, Langford, Schapire, "A contextual-bandit approach to personalized news article recommendation" (2010),
algorithm 1, with disjoint arms and ridge = 1.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from bandits.errors import BanditError
from bandits.linear.cholesky import Floats, inverse_factor
from bandits.linear.context import SCALE
from bandits.linear.model import LinearModel, quantised
from bandits.linear.sums import MILLION, LinearSum


class Bucket(NamedTuple):
    """The sums of one arm in a time bucket, how much they count, and the level of reward (a share of its range)."""

    sums: LinearSum
    weight: float = 1.0
    level: float = 0.0


def solve(buckets: Sequence[Bucket], size: int, ridge: float = 1.0) -> LinearModel:
    """Return the model of an arm whose contexts have `size` features.

    Give the buckets in the order of time: floats are added up in the order of the buckets.

    Raises:
        BanditError: if `ridge` is not positive, or so small that A cannot be inverted.
    """
    if not ridge > 0:
        raise BanditError(f"Choose a ridge penalty above 0; it is {ridge:g}.")
    root = inverse_factor(gram(buckets, size) + ridge * np.identity(size))
    theta = solution(root, _right_side(buckets, size))
    return quantised(theta.tolist(), [row[: place + 1] for place, row in enumerate(root.tolist())])


def solution(root: Floats, right: Floats) -> Floats:
    """Return A^-1 b = W'(W b), where W is the inverse factor of A."""
    along = ordered_sum((column * number for column, number in zip(root.T, right, strict=True)), len(right))
    return ordered_sum((row * number for row, number in zip(root, along, strict=True)), len(right))


def gram(buckets: Iterable[Bucket], size: int) -> Floats:
    """Return the sum of w x x'. Shape: (size, size)."""
    upper = ordered_sum((bucket.weight * _floats(bucket.sums.products) for bucket in buckets), size * (size + 1) // 2)
    whole: Floats = np.zeros((size, size))
    places = np.triu_indices(size)
    whole[places] = upper / SCALE**2
    whole.T[places] = whole[places]
    return whole


def _right_side(buckets: Iterable[Bucket], size: int) -> Floats:
    """Return b. The first row of x x' is SCALE times x, since the first feature is the intercept."""
    return ordered_sum(
        (
            bucket.weight
            * (
                _floats(bucket.sums.rewarded) / (SCALE * MILLION)
                - bucket.level * (_floats(bucket.sums.products[:size]) / SCALE**2)
            )
            for bucket in buckets
        ),
        size,
    )


def ordered_sum(parts: Iterable[Floats], size: int) -> Floats:
    """Return the sum of vectors, from the first to the last."""
    total: Floats = np.zeros(size)
    for part in parts:
        total += part
    return total


def _floats(numbers: Sequence[int]) -> Floats:
    return np.array(numbers, np.float64)
