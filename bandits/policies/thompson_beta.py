"""Thompson sampling with Beta posteriors of pooled counts: the well-known rule, exact from the first decision.

    weights = P(best) of Beta(1 + n mean, 1 + n (1 - mean)), n being the decisions of the arm

Assumes: rewards of 0 and 1 (others in [0, 1] count as parts of a success, which makes posteriors too wide, never too
narrow), independent decisions, and rates that do not change.
Weakness: time and units fool it. It pools over time. If the level of reward drifts for all arms while weights move, an
arm that got its traffic at a good hour looks better: of two equal arms, the one that began at 10 % ended with over 90 %
of the traffic on average, after the level rose from 5 to 15 % in 72,000 decisions. It should be half. Decisions of one
unit count as independent, so P(best) is too sure of itself. Where both cannot happen it costs nothing. `thompson.py`
has neither weakness; it needs a few tens of decisions for each arm first.
Source: Chapelle and Li, "An empirical evaluation of Thompson sampling" (2011), algorithm 2.
"""

from dataclasses import dataclass

from bandits.best.beta import best_of_betas
from bandits.estimates.estimates import Estimates


@dataclass(frozen=True, slots=True)
class ThompsonBeta:
    """Weighs arms by P(best) of their counts, from a uniform prior. It has no parameter."""

    def weights(self, estimates: Estimates) -> tuple[float, ...]:
        """Return the probability of each arm, before floors. Estimates must be pooled; the covariance is not used."""
        shares = [min(max(mean, 0.0), 1.0) for mean in estimates.means]
        successes = [n * share for n, share in zip(estimates.decisions, shares, strict=True)]
        failures = [n * (1 - share) for n, share in zip(estimates.decisions, shares, strict=True)]
        return best_of_betas([1 + each for each in successes], [1 + each for each in failures])
