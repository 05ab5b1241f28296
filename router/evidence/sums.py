"""What is counted: integer sums, to which any replica may add in any order.

Sums are kept by route and, within a route, by `SumKey`. They are additive, so order, delay and repeated
delivery do not matter, provided that each source is counted once (`store.interface.Store.count`).

What a guardrail compares is also kept by groups of units, because on a sticky route the unit is what is drawn: the
requests of one unit depend on each other, and those of two groups do not. These sums are coarser in time
(`GROUP_BUCKET_S`), and are stored and read apart from the others (`store.interface.Store.group_sums`).
"""

import zlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

REQUESTS = "requests"
"""Drawn requests for which the arm was the primary and whose result is known.

Forced, pinned and excluded requests do not count. Those whose callers left before the result was there are in `LEFT`.
"""
LEFT = "left"
"""Drawn requests for which the arm was the primary and whose caller left before the answer.

Such a request took at least as long as its caller waited, so it is also in the sums of slow requests whose threshold is
below that time. A rate of slow requests is therefore one of `REQUESTS` and `LEFT` together.
"""
ERRORS = "errors"
"""Those of them that the arm did not answer, because of an error, a deadline that passed or an open breaker.

Two cases are not the arm's fault and do not count: values that its fallback cannot answer either, and deadlines that
the caller set.
"""
MISSING = "missing"
"""Those that the arm answered with a value missing, which is NaN, infinite or an empty label."""
UNSEEN = "unseen"
"""Answers in which nothing can be checked or compared, because the log keeps no output of this model.

Of an arm: those in which a missing value would not be seen. Of a shadow: those that are compared with nothing.
"""
EXPECTED = "expected_slots"
"""The weights of an arm, in slots, summed over the drawn requests of the route, whichever arm they got.

This sum and the next one are counted where weights move within a policy version: on bandits. With a context, the
weights are those of each request. Their keys name no model version, since what is drawn is an arm.
"""
EXPECTED_SQUARED = "expected_slots_squared"
"""The sum of the squares of these weights."""
ANSWERS = "answers"
"""Shadow answers in time."""
FAILURES = "failures"
"""Shadow requests that were started and failed or were too late."""
PAIRS = "compared"
"""Requests that both a primary and a shadow have answered, so that their outputs were compared."""
FLIPS = "flips_millionths"
"""The sum over these requests of the share of their instances that flip, in millionths.

An instance flips if its labels differ or, without labels, if its predictions differ by more than the tolerance. A
request counts by its share, because the instances of one request depend on each other.
"""
INSTANCES = "pairs"
"""The instances of these requests."""
DIFFERENCE = "difference"
"""The sum over instances of the largest absolute difference of their predictions, in millionths."""
DIFFERENCE_SQUARED = "difference_squared"
"""The sum of the squares of these differences, in millionths."""
DELAY = "delay"
"""The sum over answers of the shadow's model time minus the primary's, in microseconds."""
DELAY_SQUARED = "delay_squared"
"""The sum of the squares of these delays, in microseconds squared."""


def slow(threshold_us: int) -> str:
    """Return the name of the sum of requests that took longer than a threshold, with those in `ERRORS` and `LEFT`."""
    return f"slow:{threshold_us}"


def weighed(name: str, other: str) -> str:
    """Return the name of the sum of `name` in which a request counts by the share of another arm, in millionths.

    The share is that of the other arm among the two, by the weights that were in force for the request. It is counted
    on bandits with guardrails, of the trusted arm and each other one (`router.evidence.weighed`).
    """
    return f"{name}*{other}"


def spread(name: str, other: str) -> str:
    """Return the name of the sum of `name` in which a request counts by the spread of its draw, in millionths.

    The spread is sqrt(s (1 - s)) of the share s of the other arm among the two. It is counted by groups of units, where
    shares depend on the request (`router.evidence.units`).
    """
    return f"{name}~{other}"


def late(metric: str) -> str:
    """Return the name of the sum of rewards of a metric that came after the window of their decisions."""
    return f"late:{metric}"


BUCKET_S = 10
"""The length of a time bucket, in seconds."""
GROUPS = 64
"""The number of groups of units."""
GROUP_BUCKET_S = 60
"""The length of a time bucket of the sums by group, in seconds. They are 64 times as many as the others."""
ALL_UNITS = -1
"""The group of a sum over all requests, also those without a unit."""
MILLION = 1_000_000
"""The unit of sums in millionths."""


def group_of(unit_hash: str) -> int:
    """Return the group, in [0, `GROUPS`), of a unit. The hash has a key, so the group does not depend on the slot."""
    return zlib.crc32(unit_hash.encode()) % GROUPS


class SumKey(NamedTuple):
    """What a sum is of.

    - `bucket_s` is the start of the time bucket in seconds since the epoch. 0 means all time. It is a multiple of
      `BUCKET_S`, or of `GROUP_BUCKET_S` if the sum is one of a group.
    - `policy_version` is the document's version. It implies the weights that were in force.
    - `against` is empty except for shadows. There it names the arm with whose answer the shadow's was compared, and
      `against_version` the model version that gave it.
    - `group` is the group of units whose requests are counted, or `ALL_UNITS`.
    """

    bucket_s: int
    policy_version: int
    arm: str
    model_version: str
    against: str
    name: str
    against_version: str = ""
    group: int = ALL_UNITS


Sums = Mapping[SumKey, int]


class GroupSums(NamedTuple):
    """The sums by groups of units: over all time, and by time bucket. The second never exceed the first."""

    totals: Sums
    recent: Sums


def total(sums: Sums, name: str, arms: Iterable[str], model_version: str | None = None) -> int:
    """Add up one sum over arms and all policy versions. Take all model versions unless one is named."""
    wanted = set(arms)
    return sum(
        value
        for key, value in sums.items()
        if key.name == name and key.arm in wanted and model_version in (None, key.model_version)
    )
