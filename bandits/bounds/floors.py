"""Mix floors into weights, and cut them at ceilings.

Floors: p = f + (1 - sum of the floors) w. With one floor for K arms this is p = f + (1 - K f) w. It is exact: no arm is
below its floor, the sum stays 1, and of two arms with the same floor the one with more weight keeps more. To lift arms
to their floor and scale all down again would leave them below it.

Ceilings: what an arm may not have is given to the others, as water fills basins. p = min(ceiling, f + level w), with
the one level at which the sum is 1. So of two arms with equal bounds the one with more weight still has no less. If all
arms with weight are at their ceilings, the rest goes to the others in equal parts, up to theirs.
"""

import math
from collections.abc import Sequence
from operator import lt


def within_bounds(weights: Sequence[float], floors: Sequence[float], ceilings: Sequence[float]) -> tuple[float, ...]:
    """Return the weights after floors and ceilings, all as shares of 1.

    The bounds must leave room for a sum of 1, and the weights must have one.
    """
    level = (1 - math.fsum(floors)) / math.fsum(weights)
    mixed = tuple([floor + level * weight for floor, weight in zip(floors, weights, strict=True)])
    if all(map(lt, mixed, ceilings)):
        return mixed  # as nearly every request; `_fill` gives the same
    filled = _fill(list(floors), weights, ceilings)
    if math.fsum(filled) < 1 - 1e-12:
        filled = _fill(filled, [1.0] * len(filled), ceilings)
    return tuple(filled)


def _fill(start: list[float], weights: Sequence[float], ceilings: Sequence[float]) -> list[float]:
    """Raise the arms in proportion to their weights until the sum is 1 or each arm with weight is at its ceiling."""
    values = list(start)
    rising = [arm for arm, weight in enumerate(weights) if weight > 0]
    while rising:
        room = 1 - math.fsum(start[arm] if arm in rising else values[arm] for arm in range(len(values)))
        level = room / math.fsum(weights[arm] for arm in rising)
        full = [arm for arm in rising if start[arm] + level * weights[arm] >= ceilings[arm]]
        for arm in full or rising:
            values[arm] = ceilings[arm] if full else start[arm] + level * weights[arm]
        rising = [arm for arm in rising if arm not in full] if full else []
    return values
