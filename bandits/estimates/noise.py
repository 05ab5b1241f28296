"""The variance of one decision's reward about what is expected of it.

The prior is two imagined decisions, of which one is off by the whole range. After n decisions without any difference
the variance is 1 / (n + 2), as that of a Beta(1, 1) prior without a success: an arm that has had no reward yet is not
certain to have none. A reward in [0, 1] has a variance of at most 1/4.

The weakness: if the values of a metric vary over a small part of its declared range, the imagined decisions outweigh
the measured ones until the squares of real residuals add up to 1. Declare the range close to the values.
"""

from collections.abc import Sequence

LARGEST = 0.25
PRIOR_VARIANCE = 1.0 / 12.0
"""Of an arm's mean before any data: that of a uniform distribution over the range."""
_IMAGINED_DECISIONS, _IMAGINED_SQUARES = 2.0, 1.0
_RESOLUTION = 1e-6
"""Squares are kept in whole millionths, rounded down: a decision may lack as much."""
_SHARED = 100.0
"""So many decisions an arm's own variance must outweigh: rare rewards show their variance late."""


def variance(squares: float, spare: float) -> float:
    """Return the variance, from a sum of squared residuals and its degrees of freedom."""
    measured = (max(squares, 0.0) + _IMAGINED_SQUARES) / (max(spare, 0.0) + _IMAGINED_DECISIONS) + _RESOLUTION
    return min(measured, LARGEST)


def inflation(shared: float, squares: Sequence[float], spare: Sequence[float]) -> list[float]:
    """Return by how much the variance of each arm exceeds the shared one, at least 1.

    It is never less, since an arm whose rare rewards have not come shows less variance than it has. `squares` and
    `spare` are sums within periods, by arm.
    """
    own = (
        (max(square, 0.0) + _SHARED * shared) / (count + _SHARED) for square, count in zip(squares, spare, strict=True)
    )
    return [max(each / shared, 1.0) for each in own]
