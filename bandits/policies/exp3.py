"""Exp3: exponential weights for rewards that may change in any way, even by an adversary.

    weight = (1 - g) w / (sum of w) + g / K,  w = exp(g G / K),  g = exploration

G is the arm's gain: the sum over its decisions of reward / propensity. The mean by inverse propensities is G / N for N
decisions of all arms. So G is N times the estimated mean, and the policy is exactly Exp3 if the estimates come from
inverse propensities. With means that are estimated otherwise, it is exponential weights on those, which vary less.

Assumes: rewards in [0, 1]; nothing of how they come about.
Weakness: where rewards are not chosen by an adversary, its regret is several times that of Thompson sampling. It never
stops exploring with g. Its learning rate is fixed: the best g depends on the number of decisions to come.
Source: Auer, Cesa-Bianchi, Freund, Schapire, "The nonstochastic multiarmed bandit problem" (2002), figure 1.
"""

import math
from dataclasses import dataclass

import numpy as np

from bandits.arithmetic.exponential import exp
from bandits.estimates.estimates import Estimates
from bandits.policies.proportions import proportions


@dataclass(frozen=True, slots=True)
class Exp3:
    """Explores with the share `exploration` (g), which lies in (0, 1], and learns at the rate g / K."""

    exploration: float = 0.1

    def weights(self, estimates: Estimates) -> tuple[float, ...]:
        """Return the probability of each arm, before floors."""
        count = len(estimates.means)
        rate = self.exploration * math.fsum(estimates.decisions) / count
        highest = max(estimates.means)
        learned = proportions(exp(np.array([rate * (mean - highest) for mean in estimates.means])).tolist())
        return tuple((1 - self.exploration) * share + self.exploration / count for share in learned)
