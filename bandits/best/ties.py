"""Share among arms that are equal."""

from collections.abc import Sequence


def share_among_highest(values: Sequence[float]) -> tuple[float, ...]:
    """Return equal shares for all arms with the highest value, and 0 for the others."""
    highest = max(values)
    share = 1 / values.count(highest)
    return tuple([share if value == highest else 0.0 for value in values])
