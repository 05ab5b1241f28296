"""How strongly counts speak against an arm, and for it, on a route whose weights move.

A bandit moves its weights while the rates of events drift. An arm that has got most of its requests in a bad hour has
more events than the trusted arm, though neither is worse. So counts under different weights may not be added up. What
may be added up are counts in which each request has a weight of its own.

One request. Let s be the share of the watched arm among the two, by the weights that were in force. An event of the
watched arm counts 1 - s, and an event of the trusted arm counts s. Let B and A be the sums of these, and R the sum of
1 - s over all requests of the watched arm. If both arms have the same rate of events at that moment, B and A grow by
the same on average, whatever the rate is.

Many requests. For every v > 0, with u = 1 - exp(-v) and the margin m,

    exp(u B - v A - R ln(1 + m (exp(u) - 1)))

has an expectation of at most 1, at all times, as long as the rate of the watched arm exceeds that of the other one by
at most m at each moment. Weights and rates may change with each request, in any way that does not know its draw.

Why. Write x for 1 - s. As ln(1 + m (exp(u y) - 1)) is convex in y and 0 at 0, its value at x is at most x times its
value at 1. So a request of the watched arm multiplies the process by no more than 1 + q (exp(u x) - 1) on average,
where q is the rate of the trusted arm, whose requests multiply it by 1 - q (1 - exp(-v s)). What remains to be shown is

    s (exp(u x) - 1) <= x (1 - exp(-v s)).

The left side, divided by s x, is the sum of u**k x**(k-1) / k! over k >= 1. As exp(-v s) = (1 - u)**s, the right side
is, by the binomial series, the sum of u**k x (x + 1) ... (x + k - 2) / k!. No term of the first sum exceeds that of the
second. For the other side, "the rate exceeds the other one by m or more", the arms change places:
exp(u A - v B - R ln(1 - m (1 - exp(-v)))).

Where a bandit looks at the request, s depends on the request, and so do the rates. The above holds all the same: given
the request, its draw knows nothing of its event. Let b and a be the weights of the watched and of the trusted arm for a
request. The watched arm is drawn with the probability b and counts 1 - s = a / (a + b), the trusted arm with a and
counts s = b / (a + b). So B, A and R all count this request with the mean weight a b / (a + b): B / R and A / R
estimate the rates of both arms among the same requests, those that either arm could have got, though neither arm gets
such a mix of them (overlap weighting: Li, Morgan, Zaslavsky, "Balancing covariates via propensity score weighting",
2018). Requests that only one of both arms could have got count nothing.

The evidence is a mean over `STRENGTHS` (u) and over starts, as in `router.evidence.evidence`. An event may count in
part, since exp is convex. Requests of one unit share a draw. Where units are drawn, this is half of the evidence.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from router.evidence.evidence import Evidence, start_weight
from router.evidence.nearest import Floats
from router.evidence.sums import BUCKET_S

STRENGTHS = ((0.95, 0.22), (0.8, 0.2), (0.5, 0.2), (0.25, 0.15), (0.12, 0.11), (0.05, 0.07), (0.02, 0.05))
"""The numbers u that are tried, each with its weight. Large ones suit an arm that fails most of its requests, and small
ones an arm that is a little worse."""


class WeighedStratum(NamedTuple):
    """Weighed counts from one time bucket or several: R, B and A of the theory above."""

    requests: float
    events: float
    other_events: float
    bucket_s: int = 0


def compare_weighed(strata: Sequence[WeighedStratum], margin: float) -> Evidence:
    """Return the evidence against and for "the arm's rate is at most the other rate plus `margin`".

    The smallest `bucket_s` is the start of the comparison. It must stay the same for as long as the comparison lasts.
    """
    return over_starts(strata, lambda summed: log_means(summed, margin))


def over_starts(strata: Sequence[Any], means: Callable[[Floats], Floats]) -> Evidence:
    """Return the mean over starts of the evidence since each of them.

    `strata` are tuples of numbers, of which the last one is the start of a time bucket. `means` gets the sums of the
    other ones since each start, of the shape (sums, starts). It returns the logs of the evidence: (sides, starts).
    """
    if not strata:
        return Evidence(0.0, 0.0)
    newest_first = np.array(sorted(strata, key=lambda stratum: -stratum[-1]), float)
    buckets_s = newest_first[:, -1]
    oldest_of_bucket = np.append(buckets_s[1:] != buckets_s[:-1], True)
    since = np.cumsum(newest_first[:, :-1], axis=0)[oldest_of_bucket]
    ages = (buckets_s[oldest_of_bucket] - buckets_s[-1]) // BUCKET_S
    starts = np.log([start_weight(int(age)) for age in ages])
    return Evidence(*map(float, np.logaddexp.reduce(starts + means(since.T), axis=1)))


def log_means(counted: Floats, margin: float) -> Floats:
    """Return the logs of the mean over strengths, on both sides. Shapes: (3, starts), (2, starts)."""
    requests, events, others = counted
    u, weights = np.array(STRENGTHS).T[:, :, None]
    v = -np.log1p(-u)
    against = u * events - v * others - requests * np.log1p(margin * np.expm1(u))
    in_favour = u * others - v * events - requests * np.log1p(margin * np.expm1(-v))
    means: Floats = np.logaddexp.reduce(np.log(weights) + np.stack([against, in_favour]), axis=1)
    return means
