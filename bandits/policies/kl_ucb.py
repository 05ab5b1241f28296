"""KL-UCB: all weight on the arm whose mean could be highest, by the relative entropy of Bernoulli distributions.

    index = the greatest q in [mean, 1] with n d(mean, q) <= ln(t),  d(p, q) = p ln(p/q) + (1 - p) ln((1 - p)/(1 - q))

with n decisions of the arm and t of all arms. The highest index gets weight 1. Arms with equal indices share equally.
Arms without a decision come first, and share.

Assumes: rewards in [0, 1], not only 0 and 1: of all distributions with a mean, Bernoulli's is the widest.
Weakness: as of UCB1, it is not random: all decisions until the next update go to one arm, and only the floor keeps
propensities above zero.
Source: Garivier and Cappé, "The KL-UCB algorithm for bounded stochastic bandits and beyond" (2011), algorithm 1, with
c = 0 as its section 7 recommends.
"""

import math
from dataclasses import dataclass

import numpy as np

from bandits.arithmetic.horner import Floats
from bandits.arithmetic.logarithm import log
from bandits.best.ties import share_among_highest
from bandits.estimates.estimates import Estimates
from bandits.policies.ucb1 import log_of_all

_HALVINGS = 52
_LEAST = 1e-300


@dataclass(frozen=True, slots=True)
class KLUCB:
    """Trusts each arm as far as its decisions allow. It has no parameter."""

    def weights(self, estimates: Estimates) -> tuple[float, ...]:
        """Return the probability of each arm, before floors."""
        return share_among_highest(self.indices(estimates))

    def indices(self, estimates: Estimates) -> tuple[float, ...]:
        """Return the index of each arm, a share of the metric's range. It is infinite without a decision.

        It is found by halving [mean, 1], to 2^-52. Estimates adjusted for drift may leave [0, 1]; they count as its
        end.
        """
        limit = log_of_all(estimates)
        decisions = np.array(estimates.decisions)
        means = np.clip(np.array(estimates.means), 0.0, 1.0)
        low, high = means, np.ones_like(means)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            inside = decisions * bernoulli_divergence(means, middle) <= limit
            low, high = np.where(inside, middle, low), np.where(inside, high, middle)
        return tuple(index if n > 0 else math.inf for index, n in zip(low.tolist(), estimates.decisions, strict=True))


def bernoulli_divergence(p: Floats, q: Floats) -> Floats:
    """Return d(p, q) for p and q in [0, 1]. An infinite logarithm counts as 690."""
    return _term(p, q) + _term(1 - p, 1 - q)


def _term(p: Floats, q: Floats) -> Floats:
    """Return p ln(p/q), which is 0 if p is."""
    return np.where(p > 0, p * (log(np.maximum(p, _LEAST)) - log(np.maximum(q, _LEAST))), 0.0)
