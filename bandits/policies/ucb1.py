"""UCB1: all weight on the arm whose mean could be highest.

    index = mean + sqrt(width ln(t) / n), with n decisions of the arm and t of all arms. The highest index gets weight
    1. Arms with equal indices share equally. Arms without a decision come first, and share.

Assumes: rewards in [0, 1]. `width` is 2 in the source; less explores less, and has no proof below 1/2.
Weakness: it is not random. Until the next update every decision goes to one arm, whose sums alone then grow; with
updates each second this costs little, with updates each day much. Only the floor keeps propensities above zero, and so
the log fit for evaluation. With small means it explores far too much: see `kl_ucb.py`.
Source: Auer, Cesa-Bianchi, Fischer, "Finite-time analysis of the multiarmed bandit problem" (2002), figure 1.
"""

import math
from dataclasses import dataclass

import numpy as np

from bandits.arithmetic.logarithm import log
from bandits.best.ties import share_among_highest
from bandits.estimates.estimates import Estimates


@dataclass(frozen=True, slots=True)
class UCB1:
    """Trusts each arm as far as its decisions allow; `width` is positive."""

    width: float = 2.0

    def weights(self, estimates: Estimates) -> tuple[float, ...]:
        """Return the probability of each arm, before floors."""
        return share_among_highest(self.indices(estimates))

    def indices(self, estimates: Estimates) -> tuple[float, ...]:
        """Return the index of each arm, in shares of the metric's range. It is infinite without a decision."""
        wide = self.width * log_of_all(estimates)
        pairs = zip(estimates.means, estimates.decisions, strict=True)
        return tuple(mean + math.sqrt(wide / n) if n > 0 else math.inf for mean, n in pairs)


def log_of_all(estimates: Estimates) -> float:
    """Return ln t for the t decisions of all arms. It is 0 below one decision, which a discount may leave."""
    return float(log(np.array(max(1.0, math.fsum(estimates.decisions)))))
