"""Says when a bandit may stop: when its best arm is surely within epsilon of the best.

The rule may be asked at any time and as often as wanted. The probability that it ever names an arm whose mean is more
than epsilon below the best one is at most delta.

How it works. Let b be the arm with the highest mean so far and j another one. With D = mean_b - mean_j and V the
variance of D's error, the rule asks for

    D + epsilon >= sqrt(V (1 + v / n) (2 ln((K - 1) / delta) + ln(1 + n_b / v) + ln(1 + n_j / v)))

for every j, where n_b and n_j are the decisions of the two arms, n is the smaller, and v is the number `tuned_for` over
about 2 ln(1/alpha), so that the bound is narrowest when arms have about `tuned_for` decisions.

Where it comes from. Let an arm's mean after n decisions of variance s² be off by e. Mixed over normal shifts of
variance s²/v, the likelihood ratio of the arm is a martingale: exp(n² e² / (2 s² (n + v))) / sqrt(1 + n/v) (Robbins,
"Statistical methods related to the law of the iterated logarithm", 1970). So is the product over two arms, whichever
arm is drawn next and why. By Ville's inequality it exceeds 1/alpha at any time with probability at most alpha. By
Cauchy's inequality (e_b - e_j)² is at most the sum of s²(n + v)/n² of both, times the sum of their n² e² / (s² (n +
v)), which is the bound. If a wrong arm is ever named, the bound of one of the K - 1 pairs with the truly best arm has
failed, so each pair has alpha = delta / (K - 1). Stopping by such ratios of pairs: Kaufmann and Koolen, "Mixture
martingales revisited with applications to sequential tests and confidence intervals" (2021).

Assumes: errors that are about normal, since variances are estimated. So no arm is named before each has
`LEAST_DECISIONS`. Estimates must grow only: with a discount old evidence is forgotten and counted again, and the rule
holds no more.
"""

import math

import numpy as np

from bandits.arithmetic.logarithm import log
from bandits.errors import BanditError
from bandits.estimates.estimates import Estimates

LEAST_DECISIONS = 100


def settled_arm(estimates: Estimates, epsilon: float, delta: float, *, tuned_for: float = 5000.0) -> int | None:
    """Return the index of the arm that is within `epsilon` of the best at error `delta`, or None while none is known.

    `epsilon` is a share of the metric's range. Of equal means the first is taken. `tuned_for` counts decisions of an
    arm, and must stay the same for as long as the rule is asked.

    Raises:
        BanditError: if epsilon is negative, or delta is not between 0 and 1.
    """
    if not (epsilon >= 0 and 0 < delta < 1):
        raise BanditError(f"epsilon is {epsilon} and delta {delta}; epsilon must be 0 or more, delta between 0 and 1.")
    means = estimates.means
    best = max(range(len(means)), key=lambda arm: (means[arm], -arm))
    if min(estimates.decisions) < LEAST_DECISIONS:
        return None
    others = [arm for arm in range(len(means)) if arm != best]
    is_settled = all(
        means[best] - means[arm] + epsilon >= _margin(estimates, best, arm, delta / len(others), tuned_for)
        for arm in others
    )
    return best if is_settled else None


def _margin(estimates: Estimates, best: int, arm: int, alpha: float, tuned_for: float) -> float:
    """Return by how much the difference of two means may be off, at all times, but for a probability of `alpha`."""
    covariance, decisions = estimates.covariance, estimates.decisions
    variance = (covariance[best][best] - covariance[best][arm]) + (covariance[arm][arm] - covariance[best][arm])
    both = (decisions[best], decisions[arm])
    level = -2 * _log(alpha)
    shrinkage = tuned_for / (level + _log(level + 1))
    width = level + _log(1 + both[0] / shrinkage) + _log(1 + both[1] / shrinkage)
    return math.sqrt(max(variance, 0.0) * (1 + shrinkage / min(both)) * width)


def _log(x: float) -> float:
    return float(log(np.array(x)))
