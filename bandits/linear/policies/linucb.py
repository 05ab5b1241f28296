"""LinUCB: all traffic to the arm whose score may be the highest.

    a = the arm with the highest theta_a'x + alpha sqrt(x'A_a^-1 x); equal arms share the traffic equally

Assumes: the mean reward of each arm is linear in the context, and its noise has no more than the spread of a reward in
[0, 1]. With ridge 1, alpha of .25 to 1 serves for rewards such as "right or wrong"; rarer rewards want less.

Weakness: between two refits, the same context always goes to the same arm, so delayed rewards cost it more than
policies that draw, and its log holds no other arm: no other policy can be evaluated on it. Give it floors.

Source: Li, Chu, Langford, Schapire, "A contextual-bandit approach to personalized news article recommendation" (2010),
algorithm 1.
"""

from dataclasses import dataclass
from typing import ClassVar

from bandits.best.ties import share_among_highest
from bandits.errors import BanditError
from bandits.linear.scorer import Scores


@dataclass(frozen=True)
class LinUCB:
    """The upper confidence bound of linear scores. `alpha` is how many spreads the bound lies above the score."""

    alpha: float = 0.25
    needs_spreads: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the width.

        Raises:
            BanditError: if it is below 0 or not finite.
        """
        if not 0 <= self.alpha < float("inf"):
            raise BanditError(f"Choose an alpha of at least 0; it is {self.alpha:g}.")

    def weights(self, scores: Scores) -> tuple[float, ...]:
        """Return 1 for the arm with the highest bound, which equal arms share, and 0 for the others, before floors."""
        bounds = [mean + self.alpha * spread for mean, spread in zip(scores.means, scores.spreads, strict=True)]
        return share_among_highest(bounds)
