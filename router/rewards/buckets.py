"""The time buckets of rewards: by when a decision was made, and longer where the window for rewards is longer.

A window of ten minutes has buckets of ten seconds, one of a week buckets of six hours. So the decisions that have not
matured yet are in about sixty buckets, whatever the window.
"""

from router.spec.metric import MetricSpec

LENGTHS_S = (10, 60, 600, 3600, 6 * 3600, 86_400)
BUCKETS_KEPT = 512
"""How many buckets of each length a store keeps. The longest window is 90 of the longest."""
LONGEST_SETTLING_S = 60.0
LEAST_SETTLING_S = 5.0
_BUCKETS_IN_WINDOW = 60


def length_s(metric: MetricSpec) -> int:
    """Return how long the time buckets of a metric are, in seconds."""
    return next((each for each in LENGTHS_S if each * _BUCKETS_IN_WINDOW >= metric.window_s), LENGTHS_S[-1])


def settling_s(window_s: float) -> float:
    """Return how long after its window a decision may get rewards that came in time, from machines slow to count.

    A short window asks for as much haste: it is as long as the window, at least 5 seconds and at most a minute.
    """
    return min(max(window_s, LEAST_SETTLING_S), LONGEST_SETTLING_S)


def bucket_s(decided_us: int, metric: MetricSpec) -> int:
    """Return the start of the time bucket of a decision, in seconds since the epoch."""
    length = length_s(metric)
    return decided_us // (1_000_000 * length) * length


def is_late(metric: MetricSpec, decided_us: int, arrived_us: int) -> bool:
    """Return True if a reward comes after the window of its decision."""
    return arrived_us - decided_us > metric.window_s * 1_000_000


def has_matured(start_s: int, metric: MetricSpec, now_s: float) -> bool:
    """Return True if no decision of the time bucket gets rewards any more."""
    return now_s >= start_s + length_s(metric) + metric.window_s + settling_s(metric.window_s)
