"""Linear epsilon-greedy: the arm with the highest score gets all but epsilon, which all arms share.

    p_a = epsilon / K, and 1 - epsilon more for the arm with the highest theta_a'x; equal arms share it

Assumes: the mean reward of each arm is nearly linear in the context.

Weakness: it explores bad arms as often as promising ones, and never less. Its loss is higher than that of LinUCB and
Thompson on all data sets of `loadtests/studies/linear_policies.py`.

Source: Langford and Zhang, "The epoch-greedy algorithm for contextual multi-armed bandits" (2007), with a constant
share of exploration.
"""

from dataclasses import dataclass
from typing import ClassVar

from bandits.best.ties import share_among_highest
from bandits.errors import BanditError
from bandits.linear.scorer import Scores


@dataclass(frozen=True)
class LinearEpsilonGreedy:
    """Epsilon-greedy on linear scores. `epsilon` is the share of traffic that explores."""

    epsilon: float = 0.05
    needs_spreads: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Check the share.

        Raises:
            BanditError: if it is not within 0 and 1.
        """
        if not 0 <= self.epsilon <= 1:
            raise BanditError(f"Choose an epsilon from 0 to 1; it is {self.epsilon:g}.")

    def weights(self, scores: Scores) -> tuple[float, ...]:
        """Return the probability of each arm, before floors."""
        share = self.epsilon / len(scores.means)
        return tuple([share + (1 - self.epsilon) * best for best in share_among_highest(scores.means)])
