"""How strongly counts speak against an arm, and for it.

A guardrail compares how often something bad happens to requests of a candidate and to requests of the arm that is
trusted, where the same requests could have gone to either. The result is an e-process: a number that starts at 1. As
long as the candidate is not worse than allowed, the number exceeds 1/alpha at any time with probability at most alpha.
So it may be checked as often as needed, and it is exact for the smallest counts.

One request. Of the two arms, the candidate is drawn with a known probability, its share. So the law of (arm, event) is
linear in the two unknown rates, and "not worse" (rate <= the other rate + margin) is a convex set of such laws. For any
pair of rates outside the set, take the likelihood ratio to the member of the set that is nearest in Kullback-Leibler
divergence. This ratio has expectation at most 1 under the whole set: Grünwald, de Heide, Koolen, "Safe testing" (2024),
theorem 1. For k samples see Turner, Ly, Grünwald, "Generic E-variables for exact sequential k-sample tests that allow
for optional stopping" (2024). `router.evidence.nearest.scores` returns the logs of these ratios.

Many requests. The product over requests is an e-process. This holds even if the rates drift, as long as they drift
together. For one pair of rates the product depends on counts alone: order and delay do not matter. All of this rests on
the draw, so counts are kept apart by the weights in force: a stratum is a policy version within a time bucket. Any
weighted mean of e-processes is an e-process, and we take the mean over two things.

- Pairs of rates: `BASE_RATES` of the other arm by `ODDS` of the candidate, each with a weight. A pair costs
  ln(1/weight). Few base rates suffice: where events are rare and no margin is allowed, the ratio depends on the
  quotient of the two rates alone. The numbers were chosen so that no pair of true rates (0.1 to 40 %, factors of 1.5 to
  10, margins of 0 and 1 %, shares of 1 to 50 %) takes more than twice the requests of a test that knows both rates.
- Starts: an arm that was good for an hour and turns bad must not be protected by its past, so evidence is gathered
  afresh from every bucket on (`start_weight`). The price grows with the age of the comparison: about 6 nats after two
  minutes, and 9 after half an hour. Each request of a canary that fails half of its requests yields more than one nat.

Merging buckets (`router.evidence.time_buckets`) leaves starts out, which can only lower the mean of the e-processes.

What was counted. The share of the requests that went to the candidate is known twice: by the weights, and by the
counts. If the counts of a lost replica are missing, the two differ, and the difference would pass for evidence: it
could abort a canary that fails nothing. So of the ratios to the rates nearest for either share, each stratum takes the
lesser. It is no more than the e-process, and it costs nearly nothing.

Units. If a unit keeps its arm, all requests of a busy unit go to one arm, and only the share that was counted has a
meaning. Then each stratum takes the ratio for that share alone. Given how many requests went to either arm, it has
expectation at most 1 where requests are independent of each other. But requests of one unit are not, so this is only
half of the evidence: the other half is `router.evidence.units`, and both must hold.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from router.evidence.nearest import Floats, scores
from router.evidence.sums import BUCKET_S

BASE_RATES = ((0.0035, 0.38), (0.035, 0.3), (0.3, 0.32))
"""The rates of the other arm that are tried, each with its weight."""
ODDS = ((1.5, 0.24), (2.35, 0.33), (6.5, 0.25), (60.0, 0.18))
"""Factors by which the odds of a worse candidate exceed those of the other arm, beyond the margin, with weights."""
ODDS_IN_FAVOUR = ((1.0, 0.7), (1 / 2.5, 0.3))
"""The same factors for a candidate that is as good as the other arm, or better."""
_FROM_THE_START = 0.65
_LATER_STARTS_DECAY = 0.25


class Stratum(NamedTuple):
    """Counts of requests that were drawn under one policy version, from one time bucket or several merged ones."""

    share: float  # P(candidate | candidate or the other arm), by the weights of the policy version
    requests: int  # the candidate's
    events: int
    other_requests: int  # the concurrent other arm's
    other_events: int
    bucket_s: int = 0  # the start of its first bucket


class Evidence(NamedTuple):
    """The natural logs of two e-processes."""

    against: float  # against "not worse"; at ln(1/alpha) the candidate is UNHEALTHY
    in_favour: float  # against "worse"; at ln(1/alpha) the candidate is HEALTHY


class Pair(NamedTuple):
    """A pair of rates that is tried, and the log of its weight."""

    rate: float  # the candidate's
    other_rate: float
    log_weight: float


def compare(strata: Sequence[Stratum], margin: float, *, by_unit: bool = False) -> Evidence:
    """Return the evidence against and for "the candidate's rate is at most the other rate plus `margin`".

    The smallest `bucket_s` is the start of the comparison. It must stay the same for as long as the comparison lasts.
    The order of the strata does not matter, nor do strata in which nothing can be compared. `by_unit` is true if units
    are drawn, not requests.
    """
    if not strata:
        return Evidence(0.0, 0.0)
    newest_first = sorted(_added(strata), key=lambda stratum: -stratum.bucket_s)
    return Evidence(*(_mixture(newest_first, margin, worse, by_unit) for worse in (True, False)))


def compare_values(strata: Sequence[Stratum], margin: float, *, by_unit: bool = False) -> Evidence:
    """Do as `compare` for events that count in part: how far values in [0, 1] fall short of 1.

    The mean of exp(x a + (1 - x) b) over x in [0, 1] is no more than that for events of the same rate, because exp is
    convex, so the ratios are valid. "The candidate falls short by at most `margin` more" says the same as "the others'
    values are at most `margin` larger than the candidate's". The rates that are tried suit values near 1 in the first
    form, and values near 0 in the second. The mean of both e-processes is an e-process.
    """
    forms = compare(strata, margin, by_unit=by_unit), compare(list(map(_turned, strata)), margin, by_unit=by_unit)
    return Evidence(*(float(np.logaddexp(*sides) - math.log(2)) for sides in zip(*forms, strict=True)))


def _turned(stratum: Stratum) -> Stratum:
    """Return a stratum with the arms exchanged, and the values as the events."""
    share, requests, events, others, other_events, bucket_s = stratum
    return Stratum(1 - share, others, others - other_events, requests, requests - events, bucket_s)


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
    """Return the pairs of rates that are tried on the side "worse" or "not worse". There are none if all is allowed.

    A worse candidate is beyond the other rate plus the margin by the part of the room above it that the odds give.
    """
    above, odds = (margin, ODDS) if worse else (0.0, ODDS_IN_FAVOUR)
    if margin >= 1:
        return ()
    return tuple(
        Pair(base + above + (1 - base - above) * (times_odds(base, factor) - base) / (1 - base), base, math.log(weight))
        for base, base_weight in BASE_RATES
        for factor, weight in ((factor, odds_weight * base_weight) for factor, odds_weight in odds)
        if base + above < 1
    )


@lru_cache(maxsize=4096)
def drawn_scores(share: float, margin: float, worse: bool) -> Floats:
    """Return the scores of each pair if each request is drawn, the candidate with the probability `share`.

    The shape is (pairs, 4); see `router.evidence.nearest.scores`.
    """
    rates, other_rates, _ = _tried(margin, worse)
    return scores(share, margin, rates, other_rates)


def times_odds(rate: float, factor: float) -> float:
    """Return the rate whose odds are `factor` times those of `rate`."""
    return factor * rate / (1 - rate + factor * rate)


def _added(strata: Sequence[Stratum]) -> list[Stratum]:
    """Add up strata of the same share and bucket."""
    added: dict[tuple[float, int], Stratum] = {}
    for more in strata:
        known = added.get((more.share, more.bucket_s))
        added[more.share, more.bucket_s] = (
            more
            if known is None
            else known._replace(
                requests=known.requests + more.requests,
                events=known.events + more.events,
                other_requests=known.other_requests + more.other_requests,
                other_events=known.other_events + more.other_events,
            )
        )
    return list(added.values())


def _mixture(newest_first: Sequence[Stratum], margin: float, worse: bool, by_unit: bool) -> float:
    """Return the log of the weighted mean of the likelihood ratios over starts and pairs.

    The evidence since a bucket is that of its strata and of all newer ones.
    """
    if not pairs(margin, worse):
        return 0.0
    buckets_s = np.array([stratum.bucket_s for stratum in newest_first])
    since = np.cumsum(_log_ratios(newest_first, margin, worse, by_unit), axis=0)
    oldest_of_bucket = np.append(buckets_s[1:] != buckets_s[:-1], True)
    ages = (buckets_s[oldest_of_bucket] - buckets_s[-1]) // BUCKET_S
    starts = np.log([start_weight(int(age)) for age in ages])
    _, _, log_weights = _tried(margin, worse)
    return float(np.logaddexp.reduce(starts[:, None] + log_weights + since[oldest_of_bucket], axis=None))


def _log_ratios(strata: Sequence[Stratum], margin: float, worse: bool, by_unit: bool) -> Floats:
    """Return the log of each pair's likelihood ratio for the counts of each stratum, of the shape (strata, pairs)."""
    rates, other_rates, _ = _tried(margin, worse)
    share, requests, events, others, other_events, _ = np.array(strata, dtype=float).T
    counts = np.stack([events, requests - events, other_events, others - other_events], axis=-1)
    is_compared = (share > 0) & (share < 1) & (requests + others > 0)
    seen_share = requests / np.maximum(requests + others, 1)
    ratios = _added_up(counts, scores(seen_share[:, None], margin, rates, other_rates))
    if not by_unit:
        drawn = np.stack([drawn_scores(each if 0 < each < 1 else 0.5, margin, worse) for each in share.tolist()])
        ratios = np.minimum(ratios, _added_up(counts, drawn))
    return np.where(is_compared[:, None], ratios, 0.0)


def _added_up(counts: Floats, scored: Floats) -> Floats:
    added: Floats = np.einsum("sk,spk->sp", counts, scored)
    return added


@lru_cache(maxsize=256)
def _tried(margin: float, worse: bool) -> tuple[Floats, Floats, Floats]:
    """Return the pairs as arrays: the candidate's rates, the other rates and the logs of the weights."""
    rates, other_rates, log_weights = np.array(pairs(margin, worse)).reshape(-1, 3).T
    return rates, other_rates, log_weights
