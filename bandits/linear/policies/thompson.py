"""Linear Thompson sampling: each arm gets the probability that its score is the highest.

    score of arm a ~ N(theta_a'x, v^2 x'A_a^-1 x), independently;  p_a = P(score of a is the highest)

Drawing theta_a ~ N(A_a^-1 b_a, v^2 A_a^-1) and serving the best score, as the paper does, has the same law, since the
arms are disjoint. Here the probability is computed (`fast_best.py`), so it is known and can be logged.

Assumes: the mean reward of each arm is linear in the context, and the noise of a reward is normal with spread v. The
paper's v grows with the number of features and the logarithm of time, and explores far too much; .1 to .3 is usual.

Weakness: its posterior narrows with the number of decisions, also where the truth is not linear. Then it is sure of a
wrong arm for some contexts, and only a floor keeps exploring there.

Source: Agrawal and Goyal, "Thompson sampling for contextual bandits with linear payoffs" (2013), section 2.2.
"""

from dataclasses import dataclass
from typing import ClassVar

from bandits.errors import BanditError
from bandits.linear.fast_best import fast_best
from bandits.linear.scorer import Scores


@dataclass(frozen=True)
class LinearThompson:
    """Thompson sampling on linear scores. `v` is the spread of a reward around its mean, as a share of its range."""

    v: float = 0.1
    needs_spreads: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the spread.

        Raises:
            BanditError: if it is not above 0 or not finite.
        """
        if not 0 < self.v < float("inf"):
            raise BanditError(f"Choose a v above 0; it is {self.v:g}.")

    def weights(self, scores: Scores) -> tuple[float, ...]:
        """Return the probability that each arm is best, within 1e-6, before floors."""
        return fast_best(scores.means, [self.v * spread for spread in scores.spreads])
