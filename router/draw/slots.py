"""The slot table: which arm owns each of the 10,000 buckets of a route, and how ownership moves.

Each arm holds its slots as a stack of runs `(start, length)` in the order in which it took them. When weights change,
only arms whose share falls give slots up, and they give up the ones that they took last. Only arms whose share rises
take slots. Two things follow.

- The share of buckets that changes hands is the total variation distance of the weights. That is the least possible,
  so no unit leaves an arm that grows.
- A ramp between two arms that goes up and comes back down gives every bucket back to the arm from which it came. With
  more arms, the arm that ramped gets exactly its own slots back; the others may have exchanged slots among themselves.
"""

from collections.abc import Mapping
from fractions import Fraction

from router.draw.assignment import BUCKETS
from router.errors import Corrupt, Rejected
from router.quantities import format_percent, format_share

SlotRun = tuple[int, int]
SlotTable = Mapping[str, tuple[SlotRun, ...]]


def quantise(weights: Mapping[str, Fraction]) -> dict[str, int]:
    """Turn weights into whole slots that sum to 10,000, by largest remainder. The arm named first wins a tie.

    Raises:
        Rejected: if the weights do not sum to 1. They are never repaired.
    """
    total = sum(weights.values(), Fraction(0))
    # A document cannot hold a share such as 1/3 exactly, so the sum may be off by half a slot over all arms.
    if abs(total - 1) > Fraction(1, 2 * BUCKETS):
        raise Rejected(
            f"The weights sum to {format_percent(total)}; they must sum to 100%. "
            f"Given: {', '.join(f'{arm}={format_percent(weight)}' for arm, weight in weights.items())}."
        )
    exact = {arm: weight * BUCKETS / total for arm, weight in weights.items()}
    slots = {arm: int(share) for arm, share in exact.items()}
    by_remainder = sorted(exact, key=lambda arm: slots[arm] - exact[arm])
    for arm in by_remainder[: BUCKETS - sum(slots.values())]:
        slots[arm] += 1
    return slots


def require_a_slot(weight: Fraction, what: str) -> None:
    """Reject a weight that is above 0 and less than a slot, because it would become nothing in silence.

    Raises:
        Rejected: if it is.
    """
    if 0 < weight * BUCKETS < 1:
        raise Rejected(f"{what} is {format_share(weight)}; the least weight is 0.01%. Say 0% for none.")


def counts(table: SlotTable) -> dict[str, int]:
    """Count the slots of each arm."""
    return {arm: sum(length for _, length in runs) for arm, runs in table.items()}


def allocate(slots: Mapping[str, int]) -> dict[str, tuple[SlotRun, ...]]:
    """Return a first table, which gives contiguous ranges to the arms in their order."""
    return reallocate({next(iter(slots)): ((0, BUCKETS),)}, slots)


def reallocate(table: SlotTable, slots: Mapping[str, int]) -> dict[str, tuple[SlotRun, ...]]:
    """Return the table in which every arm owns `slots[arm]`, with the fewest moves from `table`.

    Arms that are missing from `slots` lose everything. New arms start empty.
    """
    stacks = {arm: list(table.get(arm, ())) for arm in slots}
    pool: list[SlotRun] = []
    for arm, runs in table.items():
        keep = slots.get(arm, 0)
        stack = stacks.get(arm, list(runs))
        pool.extend(_release(stack, sum(length for _, length in stack) - keep))
    pool.sort()
    for arm, wanted in slots.items():
        _take(stacks[arm], pool, wanted - sum(length for _, length in stacks[arm]))
    return {arm: tuple(stack) for arm, stack in stacks.items()}


def _release(stack: list[SlotRun], count: int) -> list[SlotRun]:
    """Pop `count` slots, those taken last first. Of a run, pop the high end."""
    released: list[SlotRun] = []
    while count > 0:
        start, length = stack.pop()
        given = min(length, count)
        if given < length:
            stack.append((start, length - given))
        released.append((start + length - given, given))
        count -= given
    return released


def _take(stack: list[SlotRun], pool: list[SlotRun], count: int) -> None:
    """Push `count` slots from the low end of the pool."""
    while count > 0:
        start, length = pool.pop(0)
        taken = min(length, count)
        if taken < length:
            pool.insert(0, (start + taken, length - taken))
        if stack and sum(stack[-1]) == start:
            stack[-1] = (stack[-1][0], stack[-1][1] + taken)
        else:
            stack.append((start, taken))
        count -= taken


def owners(table: SlotTable, arms: Mapping[str, int]) -> bytes:
    """Lay the table out for lookup: byte `b` is the index (from `arms`) of the arm that owns bucket `b`.

    Raises:
        Corrupt: if a bucket has no owner or two owners.
    """
    layout = bytearray(BUCKETS)
    owned = 0
    seen = bytearray(BUCKETS)
    for arm, runs in table.items():
        for start, length in runs:
            if start < 0 or length <= 0 or start + length > BUCKETS or any(seen[start : start + length]):
                raise Corrupt(f"The slot table of arm {arm} has an impossible run ({start}, {length}).")
            seen[start : start + length] = b"\1" * length
            layout[start : start + length] = bytes([arms[arm]]) * length
            owned += length
    if owned != BUCKETS:
        raise Corrupt(f"The slot table covers {owned} of {BUCKETS} buckets.")
    return bytes(layout)
