"""Softmax (Boltzmann exploration): weights are proportional to exp(mean / temperature).

Means are shares of the metric's range, so a temperature of 0.05 gives an arm that is better by 5 % of the range e times
the weight. Equal means get equal weights.

Assumes: that differences of means matter on the scale of the temperature.
Weakness: it does not know how certain a mean is. A bad start of a good arm is corrected slowly, and the temperature
must fit differences that are not known beforehand. With the temperature fixed, regret grows in proportion to the number
of decisions (Cesa-Bianchi, Gentile, Lugosi, Neu, "Boltzmann exploration done right", 2017).
Source: Sutton and Barto, "Reinforcement Learning: An Introduction" (2nd edition, 2018), section 2.8.
"""

from dataclasses import dataclass

import numpy as np

from bandits.arithmetic.exponential import exp
from bandits.estimates.estimates import Estimates
from bandits.policies.proportions import proportions


@dataclass(frozen=True, slots=True)
class Softmax:
    """Weighs arms by their means; `temperature` is positive."""

    temperature: float = 0.05

    def weights(self, estimates: Estimates) -> tuple[float, ...]:
        """Return the probability of each arm, before floors."""
        highest = max(estimates.means)
        below = np.array([(mean - highest) / self.temperature for mean in estimates.means])
        return proportions(exp(below).tolist())
