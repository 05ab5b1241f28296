"""The results of a route's shadows: counts and confidence sequences, which stay valid however often they are read."""

import math
from collections import Counter, defaultdict

from gateway.api.operators.responses import ShadowStatus
from router.document.document import Document
from router.evidence import sums
from router.evidence.intervals import mean_interval, share_interval
from router.evidence.sums import MILLION, Sums

ALPHA = 0.05
"""The probability that an interval ever misses the true value."""

_COUNTED = frozenset({
    sums.ANSWERS, sums.FAILURES, sums.PAIRS, sums.FLIPS, sums.INSTANCES, sums.DIFFERENCE, sums.DIFFERENCE_SQUARED,
    sums.DELAY, sums.DELAY_SQUARED,
})  # fmt: skip


def shadow_statuses(document: Document, totals: Sums) -> list[ShadowStatus]:
    """Return a status for each declared shadow, version that answered, and arm that it was compared with.

    `totals` are the sums since the trial began.
    """
    names = [shadow.name for shadow in document.active_shadows]
    counted: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for key, value in totals.items():
        if key.name in _COUNTED and key.arm in names:
            counted[key.arm, key.model_version, key.against][key.name] += value
    for name in names:
        if not any(shadow == name for shadow, _, _ in counted):
            counted[name, "", ""] = Counter()
    in_order = sorted(counted.items(), key=lambda item: (names.index(item[0][0]), item[0]))
    return [_status(*key, found) for key, found in in_order]


def _status(shadow: str, version: str, against: str, found: Counter[str]) -> ShadowStatus:
    answers, pairs, instances = found[sums.ANSWERS], found[sums.PAIRS], found[sums.INSTANCES]
    flips = found[sums.FLIPS] / MILLION
    difference = _mean(instances, found[sums.DIFFERENCE] / MILLION, found[sums.DIFFERENCE_SQUARED] / MILLION)
    return ShadowStatus(
        shadow=shadow,
        version=version,
        against=against,
        answers=answers,
        failures=found[sums.FAILURES],
        pairs=pairs,
        instances=instances,
        flips=flips,
        flip_rate=share_interval(flips, pairs, ALPHA),
        mean_difference=None if difference is None else (max(difference[0], 0.0), difference[1]),
        delay_ms=_mean(answers, found[sums.DELAY] / 1e3, found[sums.DELAY_SQUARED] / 1e6),
    )


def _mean(count: int, total: float, total_squared: float) -> tuple[float, float] | None:
    interval = mean_interval(count, total, total_squared, ALPHA)
    return interval if all(map(math.isfinite, interval)) else None
