"""What traffic adds up to: integer sums that any replica may add to in any order. Decides.

Sums are kept by route and, within a route, by `SumKey`. They are additive, so order, delay and repetition of what is
added do not matter, provided that each source of them is counted once (`store.interface.Store.count`).
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

REQUESTS = "requests"
"""Drawn requests that the arm was asked first; forced, pinned and excluded ones are not among them."""
ERRORS = "errors"
"""Those of them that the arm did not answer: an error, a deadline that passed, a breaker that was open.

Values that its fallback cannot answer either, and deadlines of the caller's own, are no fault of the arm.
"""
MISSING = "missing"
"""Those that it answered with a value missing: NaN or infinite, or an empty label."""
ANSWERS = "answers"
"""Shadow answers that came in time."""
FAILURES = "failures"
"""Shadow requests that were started and failed or were too late."""
PAIRS = "pairs"
"""Instances that both a primary and a shadow have answered."""
FLIPS = "flips"
"""Pairs whose labels differ or, where there is no label, whose predictions differ by more than the tolerance."""
DIFFERENCE = "difference"
"""Sum over pairs of the largest absolute difference of their predictions, in millionths."""
DIFFERENCE_SQUARED = "difference_squared"
"""Sum of its squares, in millionths."""
DELAY = "delay"
"""Sum over answers of the shadow's model time less the primary's, in microseconds."""
DELAY_SQUARED = "delay_squared"
"""Sum of its squares, in microseconds squared."""


def slow(threshold_us: int) -> str:
    """The name of the sum of requests that took longer than a threshold, errors included."""
    return f"slow:{threshold_us}"


BUCKET_S = 10
"""How finely sums are kept in time."""


class SumKey(NamedTuple):
    """What a sum is of. `policy_version` is the document's; it implies the weights that were in force.

    `bucket_s` is when the bucket of time begins, in seconds since the epoch, a multiple of `BUCKET_S`; 0 means all
    time. `against` is empty but for shadows: there it names the arm whose answer the shadow's was held against, and
    `against_version` the model version that served it.
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
    """One statistic over arms, over all policy versions, and over all model versions unless one is named."""
    wanted = set(arms)
    return sum(
        value
        for key, value in sums.items()
        if key.name == name and key.arm in wanted and model_version in (None, key.model_version)
    )
