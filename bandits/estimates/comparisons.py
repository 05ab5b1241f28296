"""Arms compared within periods: the normal equations of least squares with an effect for each arm and each period.

A reward is modelled as the level of its period, plus the effect of its arm, plus noise. Let n be the decisions of a
period by arm, N their number, S the sums of their rewards. Without the levels, the equations for the effects are

    L effects = b,    L = sum of diag(n) - n n' / N,    b = sum of S - n sum(S) / N.

L is the Laplacian of a graph whose edge between two arms weighs n_a n_b / N: how much a period says of their
difference. So `weights` by pair of arms hold all of L. An arm that is removed leaves what it says of the others: the
two edges over it become one (the star-mesh transform, which is the Schur complement of L).
"""

from collections.abc import Sequence
from itertools import combinations
from math import fsum
from typing import NamedTuple


class Comparisons(NamedTuple):
    """Sums over periods.

    `weights` has L without its signs and its diagonal: pairs of arms in the order (0, 1), (0, 2), ..., (1, 2), ...
    `excess` is b: by how much the rewards of each arm exceed the mean of their periods, summed over decisions.
    """

    weights: tuple[float, ...]
    excess: tuple[float, ...]


def nothing(arms: int) -> Comparisons:
    """Return the comparisons of no periods."""
    return Comparisons((0.0,) * (arms * (arms - 1) // 2), (0.0,) * arms)


def of_period(decisions: Sequence[float], rewards: Sequence[float]) -> Comparisons:
    """Return what a period says, from the decisions and the sum of rewards of each arm."""
    total = fsum(decisions)
    if not total:
        return nothing(len(decisions))
    level = fsum(rewards) / total
    return Comparisons(
        tuple(one * other / total for one, other in combinations(decisions, 2)),
        tuple(reward - count * level for count, reward in zip(decisions, rewards, strict=True)),
    )


def add(known: Comparisons, left: float, more: Comparisons) -> Comparisons:
    """Return the share `left` of what is known, and `more`."""
    return Comparisons(
        tuple(left * old + new for old, new in zip(known.weights, more.weights, strict=True)),
        tuple(left * old + new for old, new in zip(known.excess, more.excess, strict=True)),
    )


def laplacian(known: Comparisons) -> list[list[float]]:
    """Return L."""
    size = len(known.excess)
    matrix = [[0.0] * size for _ in range(size)]
    for (one, other), weight in zip(combinations(range(size), 2), known.weights, strict=True):
        matrix[one][other] = matrix[other][one] = -weight
        matrix[one][one] += weight
        matrix[other][other] += weight
    return matrix


def explained(known: Comparisons, effects: Sequence[float]) -> float:
    """Return by how much effects lower the sum of squared residuals: 2 b'e - e'L e."""
    gained = fsum(2.0 * excess * effect for excess, effect in zip(known.excess, effects, strict=True))
    pairs = zip(known.weights, combinations(effects, 2), strict=True)
    return gained - fsum(weight * (one - other) * (one - other) for weight, (one, other) in pairs)


def forget(known: Comparisons, arm: int) -> Comparisons:
    """Return the comparisons with an arm of which nothing is known, and what it said of the others kept."""
    to_arm = edges(known, arm)
    total = fsum(to_arm)
    if not total:
        return known
    pairs = zip(combinations(range(len(to_arm)), 2), known.weights, strict=True)
    return Comparisons(
        tuple(
            0.0 if arm in (one, other) else weight + to_arm[one] * to_arm[other] / total
            for (one, other), weight in pairs
        ),
        tuple(
            0.0 if each == arm else excess + to_arm[each] / total * known.excess[arm]
            for each, excess in enumerate(known.excess)
        ),
    )


def edges(known: Comparisons, arm: int) -> list[float]:
    """Return the weight of the edge between an arm and each arm, 0 for itself."""
    pairs = zip(combinations(range(len(known.excess)), 2), known.weights, strict=True)
    of_arm = [0.0] * len(known.excess)
    for (one, other), weight in pairs:
        if arm in (one, other):
            of_arm[one + other - arm] = weight
    return of_arm


def rearrange(known: Comparisons, sources: Sequence[int | None]) -> Comparisons:
    """Return the comparisons of other arms, each of which is one of the known arms or, if None, new."""
    pairs = combinations(range(len(known.excess)), 2)
    weights: dict[tuple[int | None, ...], float] = dict(zip(pairs, known.weights, strict=True))
    weights |= {(other, one): weight for (one, other), weight in weights.items()}
    return Comparisons(
        tuple(weights.get(pair, 0.0) for pair in combinations(sources, 2)),
        tuple(0.0 if source is None else known.excess[source] for source in sources),
    )
