"""The rewards of a route's arms, with confidence sequences, which stay valid however often they are read."""

import math
from collections.abc import Mapping

from gateway.api.operators.responses import RewardStatus
from gateway.api.operators.shadow_status import ALPHA
from router.document.document import Document
from router.evidence.intervals import mean_interval, share_interval
from router.evidence.reward_counts import DECISIONS, NO_REWARDS, REWARDED, SHORTFALL, SQUARES, RewardCounts
from router.evidence.sums import Sums, late, total
from router.rewards.sums import in_units
from router.spec.metric import MetricSpec


def reward_statuses(document: Document, rewards: Mapping[str, RewardCounts], totals: Sums) -> list[RewardStatus]:
    """Return a status for each metric with numbers, and each arm. `totals` are the sums since the trial began."""
    return [
        _status(metric, arm, rewards.get(metric.name, NO_REWARDS), totals)
        for metric in document.spec.metrics
        if not metric.is_label
        for arm in document.spec.arms
    ]


def _status(metric: MetricSpec, arm: str, counts: RewardCounts, totals: Sums) -> RewardStatus:
    decisions, shortfall, squares, rewarded = (
        sum(value for key, value in counts.totals.items() if key.arm == arm and key.name == name)
        for name in (DECISIONS, SHORTFALL, SQUARES, REWARDED)
    )
    return RewardStatus(
        metric=metric.name,
        arm=arm,
        decisions=round(decisions),
        rewarded=round(rewarded),
        mean=in_units(1 - shortfall / decisions, metric) if decisions else None,
        interval=_interval(round(decisions), decisions - shortfall, squares, metric),
        waiting=counts.waiting.get(arm, 0),
        late=total(totals, late(metric.name), [arm]),
        silent_since_s=counts.silent.get(arm),
    )


def _interval(decisions: int, values: float, squares: float, metric: MetricSpec) -> tuple[float, float] | None:
    """Return where the mean lies. It is exact if all values are the least or the largest one."""
    if abs(values - squares) < 1e-6 * max(values, 1.0):
        shares = share_interval(min(values, decisions), decisions, ALPHA)
    else:
        shares = mean_interval(decisions, values, squares, ALPHA)
    if not decisions or not all(map(math.isfinite, shares)):
        return None
    low, high = (in_units(min(max(share, 0.0), 1.0), metric) for share in shares)
    return low, high
