"""How strongly counts speak against an arm, and for it. Decides.

A guardrail compares how often something bad happens to requests of a candidate and of the other arms that the same
requests could have been given to. The answer is an e-process: a number that starts at 1 and, as long as the candidate
is not worse than allowed, exceeds 1/alpha at any time with probability at most alpha. So it may be looked at as often
as one likes, and it is exact for the smallest counts.

One request. Of the arms compared the candidate is drawn with a known probability, its share, so the law of (arm,
event) is linear in the two unknown rates, and "not worse" (rate <= the others' rate + margin) is a convex set of such
laws. For any pair of rates outside it, the likelihood ratio to the member of the set that is nearest in
Kullback-Leibler divergence has expectation at most 1 under the whole set: Grünwald, de Heide, Koolen, "Safe testing"
(2024), theorem 1; for k samples Turner, Ly, Grünwald, "Generic E-variables for exact sequential k-sample tests that
allow for optional stopping" (2024). `scores` are the logs of these ratios.

Many requests. The product over requests is an e-process even if the rates drift, as long as they do so together, and
for one pair of rates it depends on counts alone: order and delay do not matter. The draw is what it rests on, so
counts are kept apart by the weights in force: a stratum is a policy version within a bucket of time. Any weighted
mean of e-processes is one, and we take it over

- pairs of rates: `BASE_RATES` of the others by `ODDS` of the candidate, weighted. Each costs ln(1/weight), so there
  are few; what lies between is found by its neighbours, mostly within twice the requests of who knows both rates.
- starts: an arm that was good for an hour and turns bad must not be protected by its past, so evidence is gathered
  afresh from every bucket on (`start_weight`). The price grows with the age of the comparison: about 6 nats after
  two minutes and 9 after half an hour; each request of a canary that fails half of them yields more than one.

Merging buckets (`router.evidence.time_buckets`) leaves starts out, which can only lower the mean.

Units. Where a unit keeps its arm, the requests of a busy one all go to one arm: the candidate's share of the requests
is not that of the weights, and taken for it, it would pass for evidence. So there each ratio is taken to the allowed
rates, of those that are nearest for one share or another, that make it least; one choice per policy version. That is no
more than the ratio for the true share, whatever it is. It is safe, too, if the share wanders while the rates do not:
between the rates of a pair there are allowed ones against which no request of either arm gains on average. It takes
about a third more requests. What it cannot heal: a unit all of whose requests fail is one piece of evidence, not many.

Where requests are drawn, something may still be wrong with the counts (those of a lost replica are missing, say), and
that must not abort a canary that fails nothing. So the draw is trusted for `_TOLD_BY_THE_DRAW` nats; what is above
must be confirmed without it.
"""

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from router.evidence.sums import BUCKET_S

BASE_RATES = ((0.002, 0.2), (0.01, 0.45), (0.05, 0.2), (0.25, 0.15))
"""Rates of the other arms that are tried, each with its weight."""
ODDS = ((1.4, 0.05), (2.3, 0.5), (6.0, 0.2), (40.0, 0.25))
"""By how much the candidate's odds exceed them, beyond the margin, if it is worse; with weights."""
ODDS_IN_FAVOUR = ((1.0, 0.7), (1 / 2.5, 0.3))
"""The same if it is not: as good as the others, or better."""
_FROM_THE_START = 0.65
_LATER_STARTS_DECAY = 0.25
_TOLD_BY_THE_DRAW = 3.0
_TINY = 1e-12


class Stratum(NamedTuple):
    """Counts of requests that were drawn under one policy version, from one bucket of time or several merged ones."""

    share: float  # P(candidate | candidate or one of the others), by the weights of the policy version
    requests: int  # the candidate's
    events: int
    other_requests: int  # the concurrent other arms'
    other_events: int
    bucket_s: int = 0  # when the first of its buckets begins


class Evidence(NamedTuple):
    """Natural logs of two e-processes."""

    against: float  # against "not worse": from ln(1/alpha) on the candidate is UNHEALTHY
    in_favour: float  # against "worse": from ln(1/alpha) on the candidate is HEALTHY


class Score(NamedTuple):
    """What one request adds to the log of a likelihood ratio."""

    event: float
    no_event: float
    other_event: float
    other_no_event: float


class Pair(NamedTuple):
    """Rates that are tried, and the log of their weight."""

    rate: float  # the candidate's
    other_rate: float
    log_weight: float


def compare(strata: Sequence[Stratum], margin: float, *, by_unit: bool = False) -> Evidence:
    """The evidence against and for "the candidate's rate is at most the others' plus `margin`".

    The smallest `bucket_s` is when the comparison began, and must stay what it is for as long as it lasts. The order
    of the strata does not matter; neither do strata in which nothing can be compared. `by_unit` says that it is units
    that are drawn, not requests.
    """
    newest_first = sorted(strata, key=lambda stratum: -stratum.bucket_s)
    return Evidence(*(_guarded(newest_first, margin, worse, by_unit) for worse in (True, False)))


def bound(trials: int, events: int, bound: float) -> Evidence:
    """The evidence against and for "the rate of events is at most `bound`", a rate that needs no comparison."""
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
    """The weight of evidence that is gathered from the n-th bucket on; over all n they sum to 1."""
    if buckets == 0:
        return _FROM_THE_START
    decay = -_LATER_STARTS_DECAY
    # The difference of n ** decay at n and n + 1, without the cancellation at large n.
    step = -(buckets**decay) * math.expm1(decay * math.log1p(1 / buckets))
    return float((1 - _FROM_THE_START) * step)


@lru_cache(maxsize=256)
def pairs(margin: float, worse: bool) -> tuple[Pair, ...]:
    """The pairs of rates that are tried, on the side "worse" or "not worse"; none where all is allowed."""
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
    """The scores of each pair of rates where each request is drawn, the candidate with the probability `share`."""
    return tuple(
        _score(pair, margin, nearest(share, margin, pair.rate, pair.other_rate)) for pair in pairs(margin, worse)
    )


def nearest(share: float, margin: float, rate: float, other_rate: float) -> float:
    """The others' rate r that minimises share KL(rate, r + margin) + (1 - share) KL(other_rate, r), by bisection.

    The sum is convex in r, so its derivative grows. Between `rate - margin` and `other_rate` it changes sign.
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
    """The log of a sum of numbers given by their logs."""
    largest = max(terms)
    return largest + math.log(math.fsum(math.exp(term - largest) for term in terms))


def _guarded(newest_first: Sequence[Stratum], margin: float, worse: bool, by_unit: bool) -> float:
    """The evidence on one side; what is told by the numbers of requests alone is believed up to a point only."""
    if by_unit:
        return _mixture(newest_first, margin, worse, by_unit=True)
    evidence = _mixture(newest_first, margin, worse, by_unit=False)
    if evidence <= _TOLD_BY_THE_DRAW:
        return evidence
    return min(evidence, _TOLD_BY_THE_DRAW + max(_mixture(newest_first, margin, worse, by_unit=True), 0.0))


def _mixture(newest_first: Sequence[Stratum], margin: float, worse: bool, by_unit: bool) -> float:
    """Walks back in time: what has been added up on reaching a bucket is what evidence is gathered from since."""
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
            ratios[share] = _log_ratios(share, counts[share], margin, worse, by_unit)
        start = math.log(start_weight((bucket_s - first_s) // BUCKET_S))
        terms.extend(start + pair.log_weight + sum(logs) for pair, *logs in zip(tried, *ratios.values(), strict=True))
    return log_sum(terms)


def _log_ratios(
    share: float, counts: tuple[int, int, int, int], margin: float, worse: bool, by_unit: bool
) -> list[float]:
    """The log of each pair's likelihood ratio, for what has been counted under one share."""
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
    """Scores against the rates that are allowed and lie between the pair's, as near to `null_other` as there are."""
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
