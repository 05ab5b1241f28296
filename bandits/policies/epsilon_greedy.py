"""Epsilon-greedy: explore with a fixed share, give the rest to the arm with the highest mean.

    weight = epsilon / K, and 1 - epsilon more for the best of K arms. Arms with equal means share it equally.

Assumes: nothing of the rewards.
Weakness: it explores poor and good arms alike, and never less. With epsilon fixed, regret grows in proportion to the
number of decisions. While means are close, all of 1 - epsilon moves between arms at each update.
Source: Sutton and Barto, "Reinforcement Learning: An Introduction" (2nd edition, 2018), section 2.2.
"""

from dataclasses import dataclass

from bandits.best.ties import share_among_highest
from bandits.estimates.estimates import Estimates


@dataclass(frozen=True, slots=True)
class EpsilonGreedy:
    """Gives every arm a part of `epsilon`, which lies in [0, 1]."""

    epsilon: float = 0.1

    def weights(self, estimates: Estimates) -> tuple[float, ...]:
        """Return the probability of each arm, before floors."""
        share = self.epsilon / len(estimates.means)
        return tuple(share + (1 - self.epsilon) * best for best in share_among_highest(estimates.means))
