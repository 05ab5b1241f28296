"""Contexts and rewards made into models, for tests."""

from collections.abc import Iterable, Sequence

from bandits.linear.context import SCALE
from bandits.linear.model import LinearModel
from bandits.linear.solve import Bucket, solve
from bandits.linear.sums import MILLION, LinearSum, combine, exposure


def vector(features: Iterable[float]) -> tuple[int, ...]:
    """Return features of [0, 1] in fixed point, without an intercept."""
    return tuple(round(feature * SCALE) for feature in features)


def summed(contexts: Sequence[Sequence[float]], rewards: Sequence[float]) -> LinearSum:
    """Return the sums over decisions with rewards in [0, 1]."""
    parts = [exposure(vector(x), round(r * MILLION)) for x, r in zip(contexts, rewards, strict=True)]
    return combine(parts, len(contexts[0]))


def fitted(contexts: Sequence[Sequence[float]], rewards: Sequence[float], ridge: float = 1.0) -> LinearModel:
    """Return the model of an arm that made these decisions."""
    return solve([Bucket(summed(contexts, rewards))], len(contexts[0]), ridge)
