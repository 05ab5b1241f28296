"""What a replay finds: how much was computed again and how, what differs, and what the log lacks."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

MOST_KEPT = 1000
"""So many differences are kept. All are counted."""


class Difference(NamedTuple):
    """What the log says of a decision, unit or policy, and what was computed. `of` is its id, or of a unit its hash."""

    route: str
    policy_version: int
    policy_number: int
    of: str
    what: str
    logged: str
    computed: str


@dataclass
class Replayed:
    """The counts of a replay.

    Of `decisions` the arm, the reason and the propensity were computed. Of `by_propensity`, decisions for units, the
    propensity was: the log has no units. `units` counts the units of each slot table, each of which must have one arm.
    `policies` were computed from their contents. `differ` counts what differs of all these. `gaps` has what the log
    lacks, and how many decisions or policies were not computed for it.
    """

    decisions: int = 0
    by_propensity: int = 0
    units: int = 0
    policies: int = 0
    differ: int = 0
    differences: list[Difference] = field(default_factory=list)
    gaps: Counter[str] = field(default_factory=Counter)

    def add(self, difference: Difference, count: int = 1) -> None:
        """Note something that differs, `count` times."""
        self.differ += count
        if len(self.differences) < MOST_KEPT:
            self.differences.append(difference)
