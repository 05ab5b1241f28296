"""SquareCB: an arm's probability falls with the inverse of the gap between its score and the best one.

    p_a = 1 / (K + gamma (s_best - s_a)) for all but the best arm, which gets the rest;  s_a = theta_a'x

If several arms are best, the first of them gets the rest, and the others 1 / K, as with Eppo. All other policies let
arms that are equally good share equally.

Assumes: the squared error of the scores is small. It does not need to know where scores are uncertain.

Weakness: `gamma` is constant, so it goes on exploring at the same rate. The theory lets it grow as the square root of
the number of decisions. With gamma = 1 and rewards in [0, 1], the worst of K arms still gets 1 / (K + 1).

Source: Foster and Rakhlin, "Beyond UCB: optimal and efficient contextual bandits with regression oracles" (2020),
algorithm 1; after Abe and Long, "Associative reinforcement learning using linear probabilistic concepts" (1999).
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from bandits.errors import BanditError
from bandits.linear.scorer import Scores


@dataclass(frozen=True)
class SquareCB:
    """Inverse gap weighting of linear scores. `gamma` is how sharply probabilities fall with the gap."""

    gamma: float = 10.0
    needs_spreads: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Check the sharpness.

        Raises:
            BanditError: if it is below 0 or not finite.
        """
        if not 0 <= self.gamma < float("inf"):
            raise BanditError(f"Choose a gamma of at least 0; it is {self.gamma:g}.")

    def weights(self, scores: Scores) -> tuple[float, ...]:
        """Return the probability of each arm, before floors."""
        means = scores.means
        highest = max(means)
        best = means.index(highest)
        weights = [1 / (len(means) + self.gamma * (highest - mean)) for mean in means]
        weights[best] = 0.0
        weights[best] = 1 - math.fsum(weights)
        return tuple(weights)
