"""Confidence sequences: intervals that hold at all times at once, so they may be checked at any time."""

import math
from collections.abc import Callable


def share_interval(events: float, trials: int, alpha: float) -> tuple[float, float]:
    """Return an exact confidence sequence for the share of events. Without data it is (0, 1).

    It holds every p with p^k (1-p)^(n-k) > alpha B(k + 1, n - k + 1). The ratio of the uniform mixture of likelihoods
    to the likelihood of p is a martingale under p (Robbins, "Statistical methods related to the law of the iterated
    logarithm", 1970, section 3). So it exceeds 1/alpha at any time with probability at most alpha. Trials may also have
    results in [0, 1], of which `events` is the sum: the ratio is convex in each result, so it is a supermartingale.
    """
    if trials == 0:
        return 0.0, 1.0
    misses = trials - events
    mixture = math.lgamma(events + 1) + math.lgamma(misses + 1) - math.lgamma(trials + 2)
    lowest = mixture + math.log(alpha)

    def excluded(p: float) -> bool:
        log_likelihood = (events * math.log(p) if events else 0.0) + (misses * math.log1p(-p) if misses else 0.0)
        return log_likelihood < lowest

    observed = events / trials
    low = 0.0 if events == 0 else _boundary(excluded, 0.0, observed)
    high = 1.0 if misses == 0 else _boundary(excluded, 1.0, observed)
    return low, high


def mean_interval(
    count: int, total: float, total_squared: float, alpha: float, *, tuned_for: int = 5000
) -> tuple[float, float]:
    """Return an asymptotic confidence sequence for a mean, from sums. Below two values it is the whole line."""
    if count < 2:
        return -math.inf, math.inf
    mean = total / count
    variance = max(total_squared - total * mean, 0.0) / (count - 1)
    half = half_width(count, variance / count, alpha, tuned_for)
    return mean - half, mean + half


def half_width(count: int, variance_of_mean: float, alpha: float, tuned_for: int) -> float:
    """Return how far an asymptotic confidence sequence reaches to either side of an estimate from `count` observations.

    Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and asymptotic confidence
    sequences" (2024), theorem 2.2, with the tuning of its appendix. The sequence is narrowest at about `tuned_for`
    observations. That number must stay the same for the whole sequence.
    """
    rho_squared = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / tuned_for
    scaled = count * rho_squared + 1
    factor = 2 * scaled / (count**2 * rho_squared) * math.log(math.sqrt(scaled) / alpha)
    return math.sqrt(variance_of_mean * count * factor)


def _boundary(excluded: Callable[[float], bool], outside: float, inside: float) -> float:
    """Bisect for the place where `excluded` changes between an end of [0, 1] and the observed share."""
    for _ in range(60):
        middle = (outside + inside) / 2
        outside, inside = (middle, inside) if excluded(middle) else (outside, middle)
    return outside
