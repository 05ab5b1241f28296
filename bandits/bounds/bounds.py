"""The limits within which a policy may move, in whole slots, so that they hold exactly."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from bandits.errors import BanditError
from bandits.slots import SLOTS


class Bounds(NamedTuple):
    """Limits of each arm, in slots, and of an update. Make it with `make_bounds`, which checks it."""

    floors: tuple[int, ...]
    ceilings: tuple[int, ...]
    largest_change: int = SLOTS
    """How many slots may change hands in one update."""
    burn_in: float = 0.0
    """How many matured decisions each arm needs before weights move."""


def make_bounds(
    floors: Sequence[Fraction],
    ceilings: Sequence[Fraction],
    *,
    largest_change: Fraction = Fraction(1),
    burn_in: float = 0.0,
) -> Bounds:
    """Return the bounds in slots. A floor is rounded up, a ceiling and the largest change down.

    All are shares in [0, 1], of the arms in their order. `burn_in` counts decisions.

    Raises:
        BanditError: if no weights could keep to them.
    """
    bounds = Bounds(
        tuple(math.ceil(floor * SLOTS) for floor in floors),
        tuple(math.floor(ceiling * SLOTS) for ceiling in ceilings),
        math.floor(largest_change * SLOTS),
        burn_in,
    )
    _check(bounds)
    return bounds


def _check(bounds: Bounds) -> None:
    if len(bounds.floors) != len(bounds.ceilings) or not bounds.floors:
        raise BanditError("Give a floor and a ceiling for each arm, and at least one arm.")
    for arm, (floor, ceiling) in enumerate(zip(bounds.floors, bounds.ceilings, strict=True), 1):
        if not 0 <= floor <= ceiling <= SLOTS:
            raise BanditError(
                f"Arm {arm} has a floor of {_percent(floor)} and a ceiling of {_percent(ceiling)}; "
                "the floor must be at least 0% and at most the ceiling, and the ceiling at most 100%."
            )
    if sum(bounds.floors) > SLOTS:
        raise BanditError(f"The floors sum to {_percent(sum(bounds.floors))}, more than 100%; lower them.")
    if sum(bounds.ceilings) < SLOTS:
        raise BanditError(f"The ceilings sum to {_percent(sum(bounds.ceilings))}, less than 100%; raise them.")
    if not 1 <= bounds.largest_change <= SLOTS:
        raise BanditError(
            f"The largest change is {_percent(bounds.largest_change)}; it must be from 0.01%, a slot, to 100%."
        )
    if not 0 <= bounds.burn_in < math.inf:
        raise BanditError(f"The burn-in is {bounds.burn_in} decisions; it must be zero or more.")


def _percent(slots: int) -> str:
    return f"{slots * 100 / SLOTS:.2f}".rstrip("0").rstrip(".") + "%"
