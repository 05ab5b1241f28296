"""What is counted: integer sums, to which any replica may add in any order.

Sums are kept by route and, within a route, by `SumKey`. They are additive, so order, delay and repeated
delivery do not matter, provided that each source is counted once (`store.interface.Store.count`).
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

REQUESTS = "requests"
"""Drawn requests for which the arm was the primary. Forced, pinned and excluded requests do not count."""
ERRORS = "errors"
"""Those of them that the arm did not answer, because of an error, a deadline that passed or an open breaker.

Two cases are not the arm's fault and do not count: values that its fallback cannot answer either, and deadlines that
the caller set.
"""
MISSING = "missing"
"""Those that the arm answered with a value missing, which is NaN, infinite or an empty label."""
ANSWERS = "answers"
"""Shadow answers in time."""
FAILURES = "failures"
"""Shadow requests that were started and failed or were too late."""
PAIRS = "pairs"
"""Instances that both a primary and a shadow have answered."""
FLIPS = "flips"
"""Pairs whose labels differ. Without labels, pairs whose predictions differ by more than the tolerance."""
DIFFERENCE = "difference"
"""The sum over pairs of the largest absolute difference of their predictions, in millionths."""
DIFFERENCE_SQUARED = "difference_squared"
"""The sum of the squares of these differences, in millionths."""
DELAY = "delay"
"""The sum over answers of the shadow's model time minus the primary's, in microseconds."""
DELAY_SQUARED = "delay_squared"
"""The sum of the squares of these delays, in microseconds squared."""


def slow(threshold_us: int) -> str:
    """Return the name of the sum of requests that took longer than a threshold, errors included."""
    return f"slow:{threshold_us}"


BUCKET_S = 10
"""The length of a time bucket, in seconds."""


class SumKey(NamedTuple):
    """What a sum is of.

    - `bucket_s` is the start of the time bucket in seconds since the epoch, a multiple of `BUCKET_S`. 0 means all time.
    - `policy_version` is the document's version. It implies the weights that were in force.
    - `against` is empty except for shadows. There it names the arm with whose answer the shadow's was compared, and
      `against_version` the model version that gave it.
    """

    bucket_s: int
    policy_version: int
    arm: str
    model_version: str
    against: str
    name: str
    against_version: str = ""


Sums = Mapping[SumKey, int]


def total(sums: Sums, name: str, arms: Iterable[str], model_version: str | None = None) -> int:
    """Add up one sum over arms and all policy versions. Take all model versions unless one is named."""
    wanted = set(arms)
    return sum(
        value
        for key, value in sums.items()
        if key.name == name and key.arm in wanted and model_version in (None, key.model_version)
    )
