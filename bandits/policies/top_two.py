"""Top-two Thompson sampling: finds out which arm is best with fewer decisions than Thompson sampling.

    weight_i = b a_i + (1 - b) * the sum over j != i of a_j a_i / (1 - a_j),  a = P(best)

In words: draw an arm j by P(best). With probability b take it. Otherwise draw again until another arm comes, and take
that one. So the best arm gets about b of the traffic however sure the policy is, and the rest goes to those that may
still be better.

Assumes: what `thompson.py` assumes.
Weakness: it spends 1 - b on arms that it knows to be worse, for as long as it runs. Use it with a stop rule, not to
earn rewards for ever.
Source: Russo, "Simple Bayesian algorithms for best arm identification" (2016), section 4.

P(best) is not known better than to about 1e-12, so that much is added to each challenger. If one arm is surely best,
the others so share 1 - b equally, and nothing is divided by zero.
"""

import math
from dataclasses import dataclass

from bandits.best.correlated import best_of_correlated
from bandits.estimates.estimates import Estimates
from bandits.policies.proportions import proportions

_RESOLUTION = 1e-12


@dataclass(frozen=True, slots=True)
class TopTwo:
    """Keeps the share `keep` (b, in [0, 1]) for the arm that is drawn first; 1/2 is never far from the best choice."""

    keep: float = 0.5

    def weights(self, estimates: Estimates) -> tuple[float, ...]:
        """Return the probability of each arm, before floors."""
        return from_best(best_of_correlated(estimates.means, estimates.covariance), self.keep)


def from_best(best: tuple[float, ...], keep: float) -> tuple[float, ...]:
    """Return the weights from P(best). A single arm gets all."""
    if len(best) == 1:
        return (1.0,)
    second = [0.0] * len(best)
    for first, probability in enumerate(best):
        challengers = proportions([0.0 if arm == first else a + _RESOLUTION for arm, a in enumerate(best)])
        second = [total + probability * share for total, share in zip(second, challengers, strict=True)]
    total = math.fsum(best)
    return proportions([keep * a + (1 - keep) * s / total for a, s in zip(best, second, strict=True)])
