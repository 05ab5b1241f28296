"""From a policy's weights to the slots that are drawn from."""

import math
from collections.abc import Sequence
from functools import lru_cache

from bandits.bounds.bounds import Bounds
from bandits.bounds.floors import within_bounds
from bandits.bounds.largest_change import step_towards
from bandits.errors import BanditError
from bandits.slots import to_shares, to_slots

_TOLERANCE = 1e-9
_remembered_shares = lru_cache(256)(to_shares)  # a request has the bounds of the one before


def bounded(weights: Sequence[float], bounds: Bounds, before: Sequence[int] | None = None) -> tuple[int, ...]:
    """Return whole slots of 10,000 that keep to the bounds exactly.

    `before` holds the slots in use, from which the change is limited. Without it the change is not limited, as for
    weights that are made for each request.

    Raises:
        BanditError: if the weights are not a probability for each arm. They are never repaired.
    """
    if len(weights) != len(bounds.floors):
        raise BanditError(f"The policy gave {len(weights)} weights for {len(bounds.floors)} arms.")
    total = math.fsum(weights)
    if not (abs(total - 1) <= _TOLERANCE and min(weights) >= 0):
        raise BanditError(f"The policy gave the weights {tuple(weights)}, which sum to {total}; they must sum to 1.")
    shares = within_bounds(weights, _remembered_shares(bounds.floors), _remembered_shares(bounds.ceilings))
    slots = to_slots(shares, bounds.ceilings)
    if before is None:
        return slots
    return step_towards(slots, before, bounds.floors, bounds.ceilings, bounds.largest_change)
