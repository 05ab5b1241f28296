"""Whole slots of 10,000: what weights become before they are used, so that what is logged is what was drawn."""

import math
from collections.abc import Sequence

SLOTS = 10_000


def to_slots(shares: Sequence[float], ceilings: Sequence[int]) -> tuple[int, ...]:
    """Round shares to whole slots that sum to 10,000, by largest remainder. The first arm wins a tie.

    `shares` sum to 1 and keep to floors and ceilings of whole slots, up to rounding errors; the slots do exactly. A
    share that is a rounding error below a floor has the largest remainder, and so is rounded up. One that is so much
    above a ceiling is rounded down.
    """
    exact = [share * SLOTS for share in shares]
    slots = [math.floor(each) for each in exact]
    missing = SLOTS - sum(slots)
    for _, arm in sorted([(slots[arm] - each, arm) for arm, each in enumerate(exact)]):
        if not missing:
            break
        if slots[arm] < ceilings[arm]:
            slots[arm] += 1
            missing -= 1
    return tuple(slots)


def to_shares(slots: Sequence[int]) -> tuple[float, ...]:
    """Return slots as shares of 1."""
    return tuple(each / SLOTS for each in slots)
