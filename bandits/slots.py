"""Whole slots of 10,000: what weights become before they are used, so that what is logged is what was drawn."""

import math
from collections.abc import Sequence

SLOTS = 10_000


def to_slots(shares: Sequence[float], floors: Sequence[int], ceilings: Sequence[int]) -> tuple[int, ...]:
    """Round shares to whole slots that sum to 10,000, by largest remainder. The first arm wins a tie.

    `shares` sum to about 1 and keep to floors and ceilings (in slots) up to rounding errors; the slots do exactly. The
    bounds must leave room for 10,000 slots.
    """
    exact = [share * SLOTS for share in shares]
    slots = [min(max(math.floor(each), low), high) for each, low, high in zip(exact, floors, ceilings, strict=True)]
    by_remainder = sorted(range(len(slots)), key=lambda arm: (slots[arm] - exact[arm], arm))
    missing = SLOTS - sum(slots)
    # Rounding errors may leave a slot too many, or one that the arms with remainders cannot take.
    while missing:
        step = 1 if missing > 0 else -1
        for arm in by_remainder if missing > 0 else reversed(by_remainder):
            if missing and floors[arm] <= slots[arm] + step <= ceilings[arm]:
                slots[arm] += step
                missing -= step
    return tuple(slots)


def to_shares(slots: Sequence[int]) -> tuple[float, ...]:
    """Return slots as shares of 1."""
    return tuple(each / SLOTS for each in slots)
