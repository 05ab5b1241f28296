"""What is added up of an arm: integers, to which any machine may add in any order.

Rewards count in millionths of the metric's range, features in 8,192nds. A decision counts from when it is made, with
the default of the metric. A reward adds the difference that it makes.

Limits: a 64-bit integer holds the sums of `MOST_DECISIONS`, 1.1e9, of one arm: r x is at most 1e6 * 8192 of a decision,
and x x' only 8192^2. Discounting happens when buckets are read (`solve.py`). The sums themselves are never scaled.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bandits.errors import BanditError
from bandits.linear.context import SCALE

MILLION = 1_000_000
MOST_DECISIONS = (2**63 - 1) // (MILLION * SCALE)


class LinearSum(NamedTuple):
    """Sums over decisions with a vector x of d features and a reward r.

    `decisions` counts them. `products` is the upper triangle of x x', row by row: d (d + 1) / 2 sums, in units of
    1 / SCALE^2. `rewarded` is r x: d sums, in units of 1 / (SCALE * MILLION). `total` is r, and `squares` is r^2
    rounded down, both in millionths.
    """

    decisions: int
    products: tuple[int, ...]
    rewarded: tuple[int, ...]
    total: int
    squares: int

    @property
    def size(self) -> int:
        """The number of features, d."""
        return len(self.rewarded)


def nothing(size: int) -> LinearSum:
    """Return the sums over no decision, of a vector of `size` features."""
    return LinearSum(0, (0,) * (size * (size + 1) // 2), (0,) * size, 0, 0)


def exposure(vector: Sequence[int], reward: int) -> LinearSum:
    """Return what a decision adds when it is made. `reward` is the default, in millionths of the range."""
    products = tuple(one * other for place, one in enumerate(vector) for other in vector[place:])
    return LinearSum(1, products, tuple(reward * one for one in vector), reward, _square(reward))


def exposures(vectors: npt.NDArray[np.int64], reward: int) -> LinearSum:
    """Return what decisions with the same reward add: the sum of `exposure` of each. Shape: (decisions, features)."""
    count, size = vectors.shape
    products = (vectors.T @ vectors)[np.triu_indices(size)]
    rewarded = reward * vectors.sum(axis=0)
    return LinearSum(count, tuple(products.tolist()), tuple(rewarded.tolist()), count * reward, count * _square(reward))


def rewarded_exposures(vectors: npt.NDArray[np.int64], rewards: npt.NDArray[np.int64]) -> LinearSum:
    """Return what decisions add whose rewards are known, in millionths of the range. Shapes: (decisions, features)."""
    seen, squares = exposures(vectors, 0), rewards * rewards // MILLION
    return seen._replace(
        rewarded=tuple((rewards @ vectors).tolist()), total=int(rewards.sum()), squares=int(squares.sum())
    )


def difference(vector: Sequence[int], before: int, after: int) -> LinearSum:
    """Return what a change of a decision's reward adds, from one value to another, in millionths of the range."""
    return changed(vector, after - before, _square(after) - _square(before))


def changed(vector: Sequence[int], total: int, squares: int) -> LinearSum:
    """Return what a change of a decision's reward adds, given what it adds to `total` and to `squares`."""
    return nothing(len(vector))._replace(rewarded=tuple(total * one for one in vector), total=total, squares=squares)


def integers_of(one: LinearSum) -> tuple[int, ...]:
    """Return a sum as a list of integers, which add up one by one."""
    return (one.decisions, *one.products, *one.rewarded, one.total, one.squares)


def from_integers(integers: Sequence[int], size: int) -> LinearSum:
    """Return the sum of which these are the integers, for contexts of `size` features.

    Raises:
        BanditError: it is of contexts of another size.
    """
    products = 1 + size * (size + 1) // 2
    if len(integers) != products + size + 2:
        raise BanditError(f"A sum has {len(integers)} integers, which is not that of {size} features.")
    total, squares = integers[-2:]
    return LinearSum(
        integers[0], tuple(integers[1:products]), tuple(integers[products : products + size]), total, squares
    )


def combine(sums: Iterable[LinearSum], size: int) -> LinearSum:
    """Return the sum of all, each of a vector of `size` features."""
    parts = list(sums) or [nothing(size)]
    return LinearSum(
        sum(part.decisions for part in parts),
        tuple(map(sum, zip(*(part.products for part in parts), strict=True))),
        tuple(map(sum, zip(*(part.rewarded for part in parts), strict=True))),
        sum(part.total for part in parts),
        sum(part.squares for part in parts),
    )


def _square(reward: int) -> int:
    return reward * reward // MILLION
