"""Limit how far weights move in one update.

The limit is on the total variation distance: how many of the 10,000 slots change hands. That is the share of the
traffic that sees another arm than before, whatever the number of arms, and it is what the slot table moves. A limit for
each arm would let ten arms together move ten times as much.

Bounds come first. An arm that a guardrail has just capped gives up its slots at once; only what is left of the limit
moves beyond that.
"""

from collections.abc import Sequence

from bandits.slots import SLOTS


def step_towards(
    target: Sequence[int], before: Sequence[int], floors: Sequence[int], ceilings: Sequence[int], limit: int
) -> tuple[int, ...]:
    """Return slots on the way from `before` to `target`, of which at most `limit` have changed hands.

    If `before` breaks the bounds, at most that many change hands, or the fewest that keep to them. The slots lie
    between the two ends for each arm, but for arms that broke their bounds. All arguments are slots and sum to 10,000;
    `target` keeps to the bounds.
    """
    start = [min(max(each, low), high) for each, low, high in zip(before, floors, ceilings, strict=True)]
    raised = sum(max(0, new - old) for new, old in zip(start, before, strict=True))
    lowered = sum(max(0, old - new) for new, old in zip(start, before, strict=True))
    gains = [max(0, goal - now) for goal, now in zip(target, start, strict=True)]
    losses = [max(0, now - goal) for goal, now in zip(target, start, strict=True)]
    missing = SLOTS - sum(start)
    left = max(0, limit - max(raised, lowered))
    taken = min(left + max(0, -missing), sum(losses))
    given = taken + missing
    return tuple(
        now + gain - loss
        for now, gain, loss in zip(start, _portion(gains, given), _portion(losses, taken), strict=True)
    )


def _portion(amounts: Sequence[int], total: int) -> list[int]:
    """Return whole parts of the amounts that sum to `total`, in proportion, by largest remainder; the first wins."""
    whole = sum(amounts)
    if whole == 0:
        return list(amounts)
    parts = [amount * total // whole for amount in amounts]
    order = sorted(range(len(amounts)), key=lambda arm: (-(amounts[arm] * total % whole), arm))
    for arm in order[: total - sum(parts)]:
        parts[arm] += 1
    return parts
