"""Divide by the sum."""

import math
from collections.abc import Sequence


def proportions(values: Sequence[float]) -> tuple[float, ...]:
    """Return the values over their sum, which must be positive. It is correctly rounded, so order has no effect."""
    total = math.fsum(values)
    return tuple(value / total for value in values)
