"""Refuse numbers that are not finite."""

import math
from collections.abc import Iterable

from bandits.errors import BanditError


def check_finite(values: Iterable[float], what: str) -> None:
    """Reject values of which one is infinite or not a number.

    Raises:
        BanditError: if there is one. The sentence begins with `what`.
    """
    for value in values:
        if not math.isfinite(value):
            raise BanditError(f"{what} of the arms must be finite numbers, not {value}.")
