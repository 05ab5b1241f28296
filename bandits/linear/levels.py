"""The level of reward in each time bucket that all arms share, from the sums of all arms.

    reward of a decision of arm a in bucket b = level_b + theta_a'x + noise

This is least squares with a level for each bucket and a ridge penalty on theta, solved in turns: the levels are the
mean rests of the buckets for given thetas, and each theta is the ridge solution for given levels. A turn shrinks the
error of the contrasts between arms by the share of an arm's traffic that is explained by the bucket, which is small
while weights move slowly. `TURNS` is fixed, so that the result is the same wherever it is computed.

Assumes: what moves the level moves it for all arms and all contexts alike. A column such as the hour covers the rest.

Price: where nothing drifts, each bucket costs the information of one decision.
"""

from collections.abc import Sequence

import numpy as np

from bandits.linear.cholesky import Floats, inverse_factor
from bandits.linear.context import SCALE
from bandits.linear.solve import Bucket, gram, ordered_sum, solution
from bandits.linear.sums import MILLION, nothing

TURNS = 20


def with_levels(
    arms: Sequence[Sequence[Bucket]], size: int, ridge: float = 1.0, bases: Sequence[Bucket] | None = None
) -> list[list[Bucket]]:
    """Return the buckets of each arm with the levels filled in.

    Every arm has the same buckets, in the order of time; `linear.sums.nothing` stands where an arm has no decision. The
    buckets' own levels are not looked at. `bases` has what is known of each arm from before, whose levels have been
    subtracted.
    """
    known = [Bucket(nothing(size)) for _ in arms] if bases is None else list(bases)
    plain = [[bucket._replace(level=0.0) for bucket in buckets] for buckets in arms]
    roots = [
        inverse_factor(gram([base, *buckets], size) + ridge * np.identity(size))
        for base, buckets in zip(known, plain, strict=True)
    ]
    from_before = [base.weight * (np.array(base.sums.rewarded, np.float64) / (SCALE * MILLION)) for base in known]
    count = len(plain[0])
    decisions = np.maximum(ordered_sum((_column(buckets, "decisions") for buckets in plain), count), 1.0)
    rewards = ordered_sum((_column(buckets, "total") / MILLION for buckets in plain), count)
    contexts = [np.array([b.sums.products[:size] for b in buckets], np.float64) / SCALE**2 for buckets in plain]
    rewarded = [np.array([b.sums.rewarded for b in buckets], np.float64) / (SCALE * MILLION) for buckets in plain]
    weights = [np.array([[b.weight] for b in buckets]) for buckets in plain]
    levels = rewards / decisions
    for _ in range(TURNS):
        explained: Floats = np.zeros(count)
        for root, before, x, rx, weight in zip(roots, from_before, contexts, rewarded, weights, strict=True):
            theta = solution(root, before + ordered_sum(weight * (rx - levels[:, None] * x), size))
            explained += ordered_sum(x.T * theta[:, None], count)
        levels = (rewards - explained) / decisions
    return [
        [bucket._replace(level=level) for bucket, level in zip(buckets, levels.tolist(), strict=True)]
        for buckets in plain
    ]


def _column(buckets: Sequence[Bucket], name: str) -> Floats:
    return np.array([getattr(bucket.sums, name) for bucket in buckets], np.float64)
