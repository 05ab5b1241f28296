"""How strongly counts speak against an arm, and for it.

A guardrail compares how often something bad happens to requests of a candidate and to requests of the other arms, where
the same requests could have gone to either. The result is an e-process: a number that starts at 1. As long as the
candidate is not worse than allowed, the number exceeds 1/alpha at any time with probability at most alpha. So it may be
checked as often as needed, and it is exact for the smallest counts.

One request. Of the arms compared, the candidate is drawn with a known probability, its share. So the law of (arm,
event) is linear in the two unknown rates, and "not worse" (rate <= the others' rate + margin) is a convex set of such
laws. For any pair of rates outside the set, take the likelihood ratio to the member of the set that is nearest in
Kullback-Leibler divergence. This ratio has expectation at most 1 under the whole set: Grünwald, de Heide, Koolen, "Safe
testing" (2024), theorem 1. For k samples see Turner, Ly, Grünwald, "Generic E-variables for exact sequential k-sample
tests that allow for optional stopping" (2024). `scores` returns the logs of these ratios.

Many requests. The product over requests is an e-process. This holds even if the rates drift, as long as they drift
together. For one pair of rates the product depends on counts alone: order and delay do not matter. All of this rests on
the draw, so counts are kept apart by the weights in force: a stratum is a policy version within a time bucket. Any
weighted mean of e-processes is an e-process, and we take the mean over two things.

- Pairs of rates: `BASE_RATES` of the others by `ODDS` of the candidate, each with a weight. A pair costs ln(1/weight),
  so there are few. Rates that lie between two pairs are found by those pairs, mostly within twice the requests that a
  test would need if it knew both rates.
- Starts: an arm that was good for an hour and turns bad must not be protected by its past, so evidence is gathered
  afresh from every bucket on (`start_weight`). The price grows with the age of the comparison: about 6 nats after two
  minutes, and 9 after half an hour. Each request of a canary that fails half of its requests yields more than one nat.

Merging buckets (`router.evidence.time_buckets`) leaves starts out, which can only lower the mean.

Units. If a unit keeps its arm, all requests of a busy unit go to one arm. The candidate's share of the requests is then
not its share by the weights, and the difference would pass for evidence. So each ratio is taken to the allowed rates
that make it least, among those that are nearest for one share or another. There is one such choice per policy version.
The result is no more than the ratio for the true share, whatever that share is. It is safe, too, if the share changes
while the rates do not: between the rates of a pair there are allowed rates against which no request of either arm gains
on average. This takes about a third more requests. It does not correct for a unit all of whose requests fail: that is
one piece of evidence, but it counts as many.

Where requests are drawn, the counts may still be wrong. Those of a lost replica may be missing, for example. That must
not abort a canary that fails nothing. So evidence that comes from the draw is trusted for `_NATS_FROM_THE_DRAW` nats.
What exceeds them must be confirmed without the draw.
"""

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from router.evidence.sums import BUCKET_S

BASE_RATES = ((0.002, 0.2), (0.01, 0.45), (0.05, 0.2), (0.25, 0.15))
"""The rates of the other arms that are tried, each with its weight."""
ODDS = ((1.4, 0.05), (2.3, 0.5), (6.0, 0.2), (40.0, 0.25))
"""Factors by which the odds of a worse candidate exceed those of the others, beyond the margin, with weights."""
ODDS_IN_FAVOUR = ((1.0, 0.7), (1 / 2.5, 0.3))
"""The same factors for a candidate that is as good as the others, or better."""
_FROM_THE_START = 0.65
_LATER_STARTS_DECAY = 0.25
_NATS_FROM_THE_DRAW = 3.0
_TINY = 1e-12


class Stratum(NamedTuple):
    """Counts of requests that were drawn under one policy version, from one time bucket or several merged ones."""

    share: float  # P(candidate | candidate or one of the others), by the weights of the policy version
    requests: int  # the candidate's
    events: int
    other_requests: int  # the concurrent other arms'
    other_events: int
    bucket_s: int = 0  # the start of its first bucket


class Evidence(NamedTuple):
    """The natural logs of two e-processes."""

    against: float  # against "not worse"; at ln(1/alpha) the candidate is UNHEALTHY
    in_favour: float  # against "worse"; at ln(1/alpha) the candidate is HEALTHY


class Score(NamedTuple):
    """What one request adds to the log of a likelihood ratio, by its arm and event."""

    event: float
    no_event: float
    other_event: float
    other_no_event: float


class Pair(NamedTuple):
    """A pair of rates that is tried, and the log of its weight."""

    rate: float  # the candidate's
    other_rate: float
    log_weight: float


def compare(strata: Sequence[Stratum], margin: float, *, by_unit: bool = False) -> Evidence:
    """Return the evidence against and for "the candidate's rate is at most the others' rate plus `margin`".

    The smallest `bucket_s` is the start of the comparison. It must stay the same for as long as the comparison lasts.
    The order of the strata does not matter, nor do strata in which nothing can be compared. `by_unit` is true if units
    are drawn, not requests.
    """
    newest_first = sorted(strata, key=lambda stratum: -stratum.bucket_s)
    return Evidence(*(_one_side(newest_first, margin, worse, by_unit) for worse in (True, False)))


def compare_to_bound(trials: int, events: float, bound: float) -> Evidence:
    """Return the evidence against and for "the rate of events is at most `bound`". No other arm is involved.

    Trials may also have results in [0, 1], of which `events` is the sum. Each factor of a likelihood ratio,
    (q/p)^x ((1-q)/(1-p))^(1-x), is convex in x. So its expectation is at most that for events of the same mean.
    """
    misses = trials - events
    if bound <= 0:
        return Evidence(math.inf, -math.inf) if events else Evidence(0.0, 0.0)
    if bound >= 1:
        return Evidence(-math.inf, math.inf) if misses else Evidence(0.0, 0.0)

    def log_ratios(odds: Iterable[tuple[float, float]]) -> list[float]:
        terms = []
        for factor, weight in odds:
            rate = _times_odds(bound, factor)
            ratio = events * math.log(rate / bound) + misses * math.log((1 - rate) / (1 - bound))
            terms.append(math.log(weight) + ratio)
        return terms

    return Evidence(log_sum(log_ratios(ODDS)), log_sum(log_ratios((1 / factor, weight) for factor, weight in ODDS)))


def start_weight(buckets: int) -> float:
    """Return the weight of evidence that is gathered from the n-th bucket on. Over all n, the weights sum to 1."""
    if buckets == 0:
        return _FROM_THE_START
    decay = -_LATER_STARTS_DECAY
    # This is the difference of n ** decay at n and n + 1, without the cancellation at large n.
    step = -(buckets**decay) * math.expm1(decay * math.log1p(1 / buckets))
    return float((1 - _FROM_THE_START) * step)


@lru_cache(maxsize=256)
def pairs(margin: float, worse: bool) -> tuple[Pair, ...]:
    """Return the pairs of rates that are tried on the side "worse" or "not worse". There are none if all is allowed."""
    above, odds = (margin, ODDS) if worse else (0.0, ODDS_IN_FAVOUR)
    if margin >= 1:
        return ()
    return tuple(
        Pair(above + (1 - above) * _times_odds(base, factor), base, math.log(weight * base_weight))
        for base, base_weight in BASE_RATES
        for factor, weight in odds
    )


@lru_cache(maxsize=4096)
def scores(share: float, margin: float, worse: bool) -> tuple[Score, ...]:
    """Return the scores of each pair if each request is drawn, the candidate with the probability `share`."""
    return tuple(
        _score(pair, margin, nearest(share, margin, pair.rate, pair.other_rate)) for pair in pairs(margin, worse)
    )


def nearest(share: float, margin: float, rate: float, other_rate: float) -> float:
    """Return the others' rate r that minimises share KL(rate, r + margin) + (1 - share) KL(other_rate, r).

    The sum is convex in r, so its derivative grows. It changes sign between `rate - margin` and `other_rate`, where
    bisection finds its zero.
    """
    if margin == 0:
        return share * rate + (1 - share) * other_rate
    low, high = sorted((min(other_rate, 1 - margin), max(rate - margin, 0.0)))
    while high - low > _TINY:
        r = (low + high) / 2
        null = r + margin
        slope = share * (null - rate) / (null * (1 - null)) + (1 - share) * (r - other_rate) / (r * (1 - r))
        low, high = (low, r) if slope > 0 else (r, high)
    return high


def log_sum(terms: Sequence[float]) -> float:
    """Return the log of the sum of numbers that are given by their logs."""
    largest = max(terms)
    return largest + math.log(math.fsum(math.exp(term - largest) for term in terms))


def _one_side(newest_first: Sequence[Stratum], margin: float, worse: bool, by_unit: bool) -> float:
    """Return the evidence on one side. Limit the part that only the draw confirms."""
    if by_unit:
        return _mixture(newest_first, margin, worse, by_unit=True)
    evidence = _mixture(newest_first, margin, worse, by_unit=False)
    if evidence <= _NATS_FROM_THE_DRAW:
        return evidence
    return min(evidence, _NATS_FROM_THE_DRAW + max(_mixture(newest_first, margin, worse, by_unit=True), 0.0))


def _mixture(newest_first: Sequence[Stratum], margin: float, worse: bool, by_unit: bool) -> float:
    """Return the log of the weighted mean of the likelihood ratios over starts and pairs.

    The loop goes back in time. At each bucket, the sums so far are what was counted since that bucket began.
    """
    tried = pairs(margin, worse)
    if not newest_first or not tried:
        return 0.0
    first_s = newest_first[-1].bucket_s
    counts: dict[float, tuple[int, int, int, int]] = {}
    ratios: dict[float, list[float]] = {}
    terms: list[float] = []
    for bucket_s, bucket in groupby(newest_first, key=lambda stratum: stratum.bucket_s):
        for share, requests, events, others, other_events, _ in bucket:
            a, b, c, d = counts.get(share, (0, 0, 0, 0))
            counts[share] = (a + requests, b + events, c + others, d + other_events)
            ratios.pop(share, None)
        for share in counts.keys() - ratios.keys():
            ratios[share] = _log_ratios(share, counts[share], margin, worse, by_unit=by_unit)
        start = math.log(start_weight((bucket_s - first_s) // BUCKET_S))
        terms.extend(start + pair.log_weight + sum(logs) for pair, *logs in zip(tried, *ratios.values(), strict=True))
    return log_sum(terms)


def _log_ratios(
    share: float, counts: tuple[int, int, int, int], margin: float, worse: bool, *, by_unit: bool
) -> list[float]:
    """Return the log of each pair's likelihood ratio for the counts under one share."""
    requests, events, others, other_events = counts
    misses, other_misses = requests - events, others - other_events
    if not 0 < share < 1 or not requests + others:
        return [0.0] * len(pairs(margin, worse))
    scored: Sequence[Score]
    if by_unit:
        rate, other_rate = events / max(requests, 1), other_events / max(others, 1)
        best = nearest(requests / (requests + others), margin, rate, other_rate)
        scored = [_score(pair, margin, best) for pair in pairs(margin, worse)]
    else:
        scored = scores(share, margin, worse)
    return [events * e + misses * m + other_events * oe + other_misses * om for e, m, oe, om in scored]


def _score(pair: Pair, margin: float, null_other: float) -> Score:
    """Return the scores to the allowed rates nearest to `null_other` that lie between the rates of the pair."""
    rate, other_rate, _ = pair
    low, high = sorted((max(rate - margin, _TINY), other_rate))
    null_other = min(max(null_other, low), high)
    null = null_other + margin
    return Score(
        math.log(rate / null),
        math.log((1 - rate) / (1 - null)),
        math.log(other_rate / null_other),
        math.log((1 - other_rate) / (1 - null_other)),
    )


def _times_odds(rate: float, factor: float) -> float:
    return factor * rate / (1 - rate + factor * rate)
