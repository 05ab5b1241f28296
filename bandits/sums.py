"""What policies learn from: sums of rewards by arm, in the time buckets whose decisions have matured."""

from typing import NamedTuple

MILLION = 1_000_000


class ArmSum(NamedTuple):
    """Decisions of an arm, the sum of their rewards, and that of the squares.

    `total` is in millionths of the metric's range, `squares` in millionths of its square. So a reward in the middle of
    the range adds 500,000 and 250,000.
    """

    decisions: int
    total: int
    squares: int


class Period(NamedTuple):
    """The sums of decisions that were drawn in one time bucket under one version of the route's document.

    `begins_s` is the start of the bucket, in seconds since the epoch. `arms` has the sums of all decisions, in the
    order of the arms; an arm without decisions has zeros. `groups` has those of decisions with a unit, by group of
    units and then by arm. It is empty on routes without units.
    """

    begins_s: int
    arms: tuple[ArmSum, ...]
    groups: tuple[tuple[ArmSum, ...], ...] = ()
