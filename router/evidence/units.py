"""How strongly counts speak against an arm, and for it, if units are drawn and not requests.

A unit keeps its arm, so all its requests share one draw. Units differ: in how many requests they make, in how often
something bad happens to them, and in when. A unit may be slow because everything is slow while it is busy. None of
that is known, and none of it need be. What is known is the draw: each unit went to the candidate with a probability
that the weights give, its share s, independently of the other units.

Take the units of a group, a random part of all units. Let R_c be the residual of the group's requests to the candidate:
its events, minus those to be expected at the rate of all requests and, for the candidate, the margin. Let R_o be the
residual of the group's requests to the other arm. If the arms are alike, a unit has the same residual on either arm.
So the group's score U = (1 - s) R_c - s R_o is a sum over units of (drawn - s) times the residual, and its expectation
is 0. Groups are independent of each other.

For any random variables X that are independent, or martingale differences, with expectation 0, and for every number b,

    exp(b sum(X) - b**2 / 2 (sum(X**2) + 2 sum(E X**2)) / 3)

has an expectation of at most 1 (Delyon, "Exponential inequalities for sums of weakly dependent variables", 2009,
proposition 12: exp(x - x**2 / 6) <= 1 + x + x**2 / 3). Nothing is assumed about the distribution of X, so one unit with
very many requests does no harm: it counts for 1.5 nats at most. The variance under the draw is E U**2 = s (1 - s) times
the sum over units of the squared residual, which does not depend on the arms; the square of the group's residual
estimates that sum. At the margin, the candidate's events vary more than those of the other arm; `_noise` adds that.

The evidence is a mean over `SLOPES` (b) and over starts, as in `router.evidence.evidence`. Where counts are small it
says no more than the draw allows: five units that fail on an arm of 5 %, and none elsewhere, are 6 nats.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from router.evidence.evidence import Evidence, start_weight
from router.evidence.nearest import Floats
from router.evidence.sums import ALL_UNITS, GROUP_BUCKET_S, GROUPS, SumKey

GroupCounts = Mapping[SumKey, Floats]
"""Sums by group of units, of the shape (groups,). The keys say `ALL_UNITS`."""
SLOPES = (
    (2.5, 0.17),
    (1.1, 0.2),
    (0.5, 0.2),
    (0.22, 0.16),
    (0.1, 0.1),
    (0.045, 0.08),
    (0.02, 0.05),
    (0.008, 0.04),
)
"""The numbers b that are tried, each with its weight. The best b is about the candidate's excess rate divided by the
variance of an event, and is less where units have many events each."""


class UnitStratum(NamedTuple):
    """Counts by group of units, under one policy version and from one time bucket or several merged ones.

    `counts` has the shape (..., 4, groups): the candidate's requests and events, and the other arm's. Further axes in
    front are computed side by side. If the weights moved, `share` is about their mean, and `weighed` are the counts in
    which each request is weighed by the share of the other arm: then U is the sum over requests of (drawn - s) times
    what each has beyond the rate, with the share s that was in force, and its expectation is 0 as well.

    If the share depends on the request, `spread` are the counts in which each request is weighed by sqrt(s (1 - s)).
    The residual in them has the variance of U, also if most events are those of requests with a share of their own.
    """

    share: float  # P(candidate | candidate or the other arm), by the weights of the policy version
    counts: Floats
    bucket_s: int = 0
    weighed: Floats | None = None
    spread: Floats | None = None


class Scores(NamedTuple):
    """What is summed over strata: scores and residuals by group, and the variance that is not the draw's.

    `requests` are the candidate's by group, in the unit of the scores.
    """

    scores: Floats
    residuals: Floats
    noise: Floats
    requests: Floats


def by_group(sums: Mapping[SumKey, float]) -> GroupCounts:
    """Return sums by group as arrays."""
    arrays: dict[SumKey, Floats] = {}
    for key, value in sums.items():
        whole = key._replace(group=ALL_UNITS)
        if whole not in arrays:
            arrays[whole] = np.zeros(GROUPS)
        arrays[whole][key.group] = value
    return arrays


def compare_units(strata: Sequence[UnitStratum], margin: float) -> Evidence:
    """Return the evidence against and for "the candidate's rate is at most the others' rate plus `margin`".

    The smallest `bucket_s` is the start of the comparison. If `counts` have axes in front, so have both results.
    """
    newest_first = sorted(strata, key=lambda stratum: -stratum.bucket_s)
    if not newest_first:
        return Evidence(0.0, 0.0)
    first_s = newest_first[-1].bucket_s
    since = Scores(np.zeros(GROUPS), np.zeros(GROUPS), np.zeros(()), np.zeros(GROUPS))
    terms: list[tuple[Floats, Floats]] = []
    for bucket_s, bucket in groupby(newest_first, key=lambda stratum: stratum.bucket_s):
        for stratum in bucket:
            since = Scores(*(known + more for known, more in zip(since, score(stratum, margin), strict=True)))
        weight = np.log(start_weight((bucket_s - first_s) // GROUP_BUCKET_S))
        against, in_favour = mixture(since, margin)
        terms.append((weight + against, weight + in_favour))
    return Evidence(*(np.logaddexp.reduce(side) for side in zip(*terms, strict=True)))


def score(stratum: UnitStratum, margin: float) -> Scores:
    """Return the scores and residuals of one stratum."""
    share, counts = stratum.share, np.moveaxis(stratum.counts, -2, 0)
    requests, events, other_requests, other_events = counts
    weighed = _weighed(counts, share) if stratum.weighed is None else np.moveaxis(stratum.weighed, -2, 0)
    n, x, m, y = (counts.sum(axis=-1, keepdims=True) for counts in (requests, events, other_requests, other_events))
    rate = np.clip((x - margin * n + y) / np.maximum(n + m, 1), 0.0, 1.0)
    return Scores(
        scores=(weighed[1] - (rate + margin) * weighed[0]) - (weighed[3] - rate * weighed[2]),
        residuals=_drawn_residuals(stratum, rate, margin),
        noise=(1 - share) ** 2 * _noise(requests, events, rate[..., 0], margin),
        requests=weighed[0],
    )


def _drawn_residuals(stratum: UnitStratum, rate: Floats, margin: float) -> Floats:
    """Return the residuals of each group, times the spread of the draw: their squares estimate E U**2."""
    if stratum.spread is None:
        counts, spread = stratum.counts, np.sqrt(stratum.share * (1 - stratum.share))
    else:
        counts, spread = stratum.spread, 1.0
    requests, events, other_requests, other_events = np.moveaxis(counts, -2, 0)
    residuals: Floats = spread * ((events - (rate + margin) * requests) + (other_events - rate * other_requests))
    return residuals


def _weighed(counts: Floats, share: float) -> Sequence[Floats]:
    return [(1 - share) * counts[0], (1 - share) * counts[1], share * counts[2], share * counts[3]]


def compare_units_to_bound(trials: Floats, events: Floats, bound: float) -> Evidence:
    """Return the evidence against and for "the rate of events is at most `bound`", from counts by group of units.

    No draw gives the variance here, so it is that between the groups, or that of independent events if that is more.
    """
    total = trials.sum()
    scores = events - bound * trials
    square = np.maximum((scores**2).sum(), total * bound * (1 - bound))
    unseen = bound * (1 - bound) * (trials**2).sum() * 2 / 3  # as in `mixture`
    return Evidence(float(_mean(scores.sum(), square)), float(_mean(-scores.sum(), square + unseen)))


def mixture(since: Scores, margin: float) -> tuple[Floats, Floats]:
    """Return the logs of the mean over slopes, on both sides.

    A candidate that is worse may be so for few units only, none of which it has got so far. So what speaks for it must
    hold even if all harm falls on units that a part as large as the margin belongs to.
    """
    squares = (since.scores**2).sum(axis=-1)
    drawn = (since.residuals**2).sum(axis=-1) + since.noise
    unseen = margin * (1 - margin) * (since.requests**2).sum(axis=-1)
    total = since.scores.sum(axis=-1)
    return _mean(total, (squares + 2 * drawn) / 3), _mean(-total, (squares + 2 * (drawn + unseen)) / 3)


def _mean(total: Floats, variance: Floats) -> Floats:
    """Return the log of the mean over slopes."""
    mean: Floats = np.logaddexp.reduce([np.log(w) + b * total - b * b / 2 * variance for b, w in SLOPES], axis=0)
    return mean


def _noise(requests: Floats, events: Floats, rate: Floats, margin: float) -> Floats:
    """Return by how much the candidate's events vary more at the margin than the other arm's would.

    Events that come in bursts vary more than single ones, by the dispersion of the events between groups.
    """
    n, x = requests.sum(axis=-1), events.sum(axis=-1)
    at_margin = np.clip(rate + margin, 0.0, 1.0)
    more = np.maximum(at_margin * (1 - at_margin) - rate * (1 - rate), 0.0)
    own = x / np.maximum(n, 1)
    spread = ((events - own[..., None] * requests) ** 2).sum(axis=-1) / np.maximum(x * (1 - own), 1)
    noise: Floats = n * more * np.maximum(spread, 1.0)
    return noise
