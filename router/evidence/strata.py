"""The strata in which an arm is compared with the trusted arm, from the sums.

A stratum is one policy version, whose weights say how likely each of the two arms was to be drawn, within one block of
time. Recent blocks are short, so that an arm that has turned bad is not excused by a good past. What is older than the
sums that are kept by bucket is one block per policy version.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from router.document.document import Document
from router.evidence.evidence import Stratum
from router.evidence.looks import Look
from router.evidence.reward_counts import NO_REWARDS, RewardCounts
from router.evidence.sums import BUCKET_S, EXPECTED, GROUP_BUCKET_S, GROUPS, SumKey, Sums, total
from router.evidence.time_buckets import block_start_s
from router.evidence.units import GroupCounts, UnitStratum

_SIDES = 6
"""An arm's requests and events, those of the trusted arm, and the weights of both where they move."""

SlotsByVersion = Mapping[int, Mapping[str, int]]
"""The slots of each arm, by policy version."""


class Counted(NamedTuple):
    """What was counted on a route.

    `totals` are sums over all time, and `recent` by time bucket. `group_totals` and `group_recent` are the same by
    group of units. `weights` hold the policy versions since the trial began. `rewards` are by metric.
    """

    weights: SlotsByVersion
    totals: Sums
    recent: Sums
    group_totals: GroupCounts
    group_recent: GroupCounts
    rewards: Mapping[str, RewardCounts] = MappingProxyType({})


class Watched(NamedTuple):
    """An arm, the model version that serves it, and what was counted on its route."""

    document: Document
    arm: str
    version: str
    counted: Counted

    @property
    def trusted(self) -> str:
        """The arm that this one is held against."""
        return self.document.spec.trusted_arm or ""

    def total(self, name: str) -> int:
        """Return a sum of the arm's own requests, since the trial began."""
        own = {key: value for key, value in self.counted.totals.items() if not key.against and self._is_since(key)}
        return total(own, name, [self.arm], self.version)

    def total_of_pairs(self, name: str) -> int:
        """Return a sum of the pairs of this arm and the trusted arm, whichever of both was the primary."""
        return sum(value for key, value in self.counted.totals.items() if key.name == name and self._is_pair(key))

    def groups_of_pairs(self, name: str) -> Any:
        """Return the same sum by group of units, of the shape (groups,)."""
        return sum(
            (value for key, value in self.counted.group_totals.items() if key.name == name and self._is_pair(key)),
            start=np.zeros(GROUPS),
        )

    def strata(self, look: Look) -> list[Stratum]:
        """Return the strata by requests. The first one is empty and marks the start of the trial."""
        of = self._seen_by(look)
        cells = self._cells(look, of.totals, of.recent, of.length_s)
        first = Stratum(0.5, 0, 0, 0, 0, int(self.document.trial_s) // of.length_s * of.length_s)
        return [first, *(_stratum(share, begins_s, cell) for share, begins_s, cell in cells)]

    def unit_strata(self, look: Look) -> list[UnitStratum]:
        """Return the strata by groups of units."""
        of = self._seen_by(look)
        cells = self._cells(look, of.group_totals, of.group_recent, of.length_s if look.metric else GROUP_BUCKET_S)
        nothing = np.zeros(GROUPS)
        return [
            UnitStratum(share, np.stack([nothing + each for each in cell]), begins_s) for share, begins_s, cell in cells
        ]

    def _seen_by(self, look: Look) -> RewardCounts:
        """Return the counts that a look is at, in the form of those of rewards."""
        totals, recent, group_totals, group_recent = self.counted[1:5]
        if look.metric:
            return self.counted.rewards.get(look.metric, NO_REWARDS)
        return RewardCounts(totals, recent, group_totals, group_recent, BUCKET_S, {})

    def _cells(
        self, look: Look, totals: Mapping[SumKey, Any], recent: Mapping[SumKey, Any], length_s: int
    ) -> Iterator[tuple[float, int, list[Any]]]:
        """Yield the share, the start and the four counts of each stratum. A count is a number, or an array by group."""
        oldest_s = min((key.bucket_s for key in recent), default=0)
        newest_s = max((key.bucket_s for key in recent), default=0)
        first_s = int(self.document.trial_s) // length_s * length_s
        cells: dict[tuple[int, int], list[Any]] = defaultdict(lambda: [0] * _SIDES)
        for key, value in totals.items():
            self._add(cells, look, key, value, first_s)
        for key, value in recent.items():
            begins_s = block_start_s(key.bucket_s, newest_s, length_s)
            if begins_s > first_s and begins_s >= oldest_s:  # an older block has lost some of its buckets
                self._add(cells, look, key, value, begins_s)
                self._add(cells, look, key, -value, first_s)
        is_old = self._may_have_moved() and first_s < oldest_s
        for (policy_version, begins_s), (*cell, expected, others_expected) in sorted(cells.items()):
            if is_old and begins_s == first_s:
                continue
            own, others = self._weights(policy_version, expected, others_expected)
            if policy_version >= self.document.trial_version and own and others:
                yield own / (own + others), begins_s, cell

    def _weights(self, policy_version: int, expected: Any, others_expected: Any) -> tuple[float, float]:
        """Return the weights of both arms: those of the policy version or, where they move, those that were in force.

        The draws of a stratum then have several probabilities. Their sum varies less than if all had the mean of them
        (Hoeffding, "On the distribution of the number of successes in independent trials", 1956): the evidence holds.
        """
        if self.document.spec.learns:
            return float(np.sum(expected)), float(np.sum(others_expected))
        slots = self.counted.weights.get(policy_version, {})
        return slots.get(self.arm, 0), slots.get(self.trusted, 0)

    def _may_have_moved(self) -> bool:
        """Return True if the versions may have come to their arms in the middle of a policy version.

        Then requests of one version at night may stand beside those of the other version by day, in the stratum that
        holds what is older than the time buckets. In a rollout the candidate is pinned, and an arm that is bound by the
        document begins a new trial when it moves.
        """
        arms, bound = self.document.spec.arms, self.document.bound
        return self.document.spec.rollout is None and any(
            arms[arm].alias and arm not in bound for arm in (self.arm, self.trusted) if arm
        )

    def _add(self, cells: dict[tuple[int, int], list[Any]], look: Look, key: SumKey, value: Any, begins_s: int) -> None:
        if key.name == EXPECTED:
            if key.arm in (self.arm, self.trusted):
                cell, side = cells[key.policy_version, begins_s], 5 if key.arm == self.trusted else 4
                cell[side] = cell[side] + value
            return
        if key.against or (key.arm != self.trusted and (key.arm, key.model_version) != (self.arm, self.version)):
            return
        cell, side = cells[key.policy_version, begins_s], 2 if key.arm == self.trusted else 0
        cell[side] = cell[side] + value * (key.name in look.among)
        cell[side + 1] = cell[side + 1] + value * (key.name == look.event)

    def _is_pair(self, key: SumKey) -> bool:
        """Return True if a sum is of pairs of this arm and the trusted arm, since the trial began."""
        is_primary = (key.arm, key.against) == (self.trusted, self.arm) and key.against_version == self.version
        is_shadow = (key.arm, key.against) == (self.arm, self.trusted) and key.model_version == self.version
        return self._is_since(key) and (is_primary or is_shadow)

    def _is_since(self, key: SumKey) -> bool:
        return key.policy_version >= self.document.trial_version


def _stratum(share: float, begins_s: int, cell: list[Any]) -> Stratum:
    requests, events, other_requests, other_events = cell
    return Stratum(share, requests, events, other_requests, other_events, begins_s)
