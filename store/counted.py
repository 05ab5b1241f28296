"""What every store keeps of the sums of the traffic, and how it numbers additions to them."""

from typing import NamedTuple

BUCKETS_KEPT_S = 3600
"""The shortest time for which sums are kept by bucket."""
VERSIONS_READ = 256
"""The largest number of policy versions whose sums `sums` returns."""


class Counted(NamedTuple):
    """The number of the last addition to sums, and the routes to which something was added after a given number.

    `number` grows with every addition. If it is smaller than before, the store has lost sums.
    """

    number: int
    routes: frozenset[str]
