"""Estimates for tests of policies."""

from collections.abc import Sequence

from bandits.estimates.estimates import Estimates


def estimates(decisions: Sequence[float], means: Sequence[float], variance: float = 0.1) -> Estimates:
    """Return estimates with independent errors, of which each has `variance` over the arm's decisions."""
    count = len(means)
    rows = tuple(tuple(variance / decisions[i] if i == j else 0.0 for j in range(count)) for i in range(count))
    return Estimates(tuple(map(float, decisions)), tuple(means), rows)
