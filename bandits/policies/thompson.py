"""Thompson sampling with normal posteriors: the weight of an arm is the probability that it is best.

    weights = P(best) of normals with the estimated means and their covariance

Thompson's rule draws from the posterior and takes the best draw. Here the probability of that is computed, not drawn:
it is what the log needs as the propensity, and what another machine can compute again.

Assumes: that errors of estimated means are about normal, as they are after some tens of decisions of an arm with
rewards in a bounded range; the burn-in is for that. What the estimates hold of drift and of units is used, since the
covariance is. There is no prior: an arm of which nothing is known must come with a wide variance.
Weakness: it looks for the best arm as long as the others may be it, so it proves slowly that an arm is the best; for
that, see `top_two.py`. It leaves a stale winner slowly, unless old periods are discounted.
Source: Thompson, "On the likelihood that one unknown probability exceeds another" (1933); Agrawal and Goyal, "Further
optimal regret bounds for Thompson sampling" (2013) for normal posteriors.
"""

from dataclasses import dataclass

from bandits.best.correlated import best_of_correlated
from bandits.estimates.estimates import Estimates


@dataclass(frozen=True, slots=True)
class Thompson:
    """Weighs arms by P(best). It has no parameter. It is the default policy."""

    def weights(self, estimates: Estimates) -> tuple[float, ...]:
        """Return the probability of each arm, before floors."""
        return best_of_correlated(estimates.means, estimates.covariance)
