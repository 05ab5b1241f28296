"""The strata in which an arm is compared with the trusted arm, from the sums.

A stratum is one policy version, whose weights say how likely each of the two arms was to be drawn, within one block of
time. Recent blocks are short, so that an arm that has turned bad is not excused by a good past. What is older than the
sums that are kept by bucket is one block per policy version.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from router.document.document import Document
from router.evidence.evidence import Stratum
from router.evidence.looks import Look
from router.evidence.reward_counts import NO_REWARDS, SQUARES, RewardCounts
from router.evidence.sums import BUCKET_S, GROUP_BUCKET_S, GROUPS, MILLION, SumKey, Sums, spread, total, weighed
from router.evidence.time_buckets import block_start_s
from router.evidence.units import GroupCounts, UnitStratum
from router.evidence.weighed import WeighedStratum
from router.evidence.weighed_values import WeighedValues

SlotsByVersion = Mapping[int, Mapping[str, int]]
"""The slots of each arm, by policy version."""


class Counted(NamedTuple):
    """What was counted on a route.

    `totals` are sums over all time, and `recent` by time bucket. `group_totals` and `group_recent` are the same by
    group of units. `weights` hold the policy versions since the trial began, and are empty for those of a bandit.
    `rewards` are by metric.
    """

    weights: SlotsByVersion
    totals: Sums
    recent: Sums
    group_totals: GroupCounts
    group_recent: GroupCounts
    rewards: Mapping[str, RewardCounts] = MappingProxyType({})


class _Cell(NamedTuple):
    """A stratum: an arm's requests and events, and those of the trusted arm, each a number or an array by group.

    `weighed` are the same where weights move, each request weighed by the share of the other arm, in millionths, and
    `spread` where shares depend on the request (`router.evidence.sums.spread`).
    """

    share: float
    begins_s: int
    counts: Sequence[Any]
    weighed: Sequence[Any]
    spread: Sequence[Any]


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
        first = Stratum(0.5, 0, 0, 0, 0, self._first_s(look))
        return [first, *(_stratum(cell) for cell in self._request_cells(look))]

    def weighed_strata(self, look: Look) -> list[WeighedStratum]:
        """Return the strata by requests of a route whose weights move. The first one marks the start of the trial."""
        strata = [WeighedStratum(0.0, 0.0, 0.0, self._first_s(look))]
        for cell in self._request_cells(look):
            requests, events, _, other_events = (each / MILLION for each in cell.weighed)
            strata.append(WeighedStratum(requests, events, other_events, cell.begins_s))
        return strata

    def weighed_values(self, look: Look) -> list[WeighedValues]:
        """Return the same of a look at a metric, with the squares of the values."""
        strata = [WeighedValues(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, self._first_s(look))]
        squares = self._request_cells(look._replace(event=SQUARES))
        for cell, of_squares in zip(self._request_cells(look), squares, strict=True):
            decisions, short, others, others_short = (each / MILLION for each in cell.weighed)
            _, square, _, other_square = (each / MILLION for each in of_squares.weighed)
            of_arm, of_other = (decisions, decisions - short, square), (others, others - others_short, other_square)
            strata.append(WeighedValues(*of_arm, *of_other, cell.begins_s))
        return strata

    def unit_strata(self, look: Look) -> list[UnitStratum]:
        """Return the strata by groups of units."""
        of = self._seen_by(look)
        cells = self._cells(look, of.group_totals, of.group_recent, of.length_s if look.metric else GROUP_BUCKET_S)
        return [
            UnitStratum(
                cell.share,
                _stacked(cell.counts),
                cell.begins_s,
                _stacked(cell.weighed) / MILLION if self._is_weighed else None,
                _stacked(cell.spread) / MILLION if self._is_weighed and self.document.spec.maximised else None,
            )
            for cell in cells
        ]

    @property
    def _is_weighed(self) -> bool:
        """True if the weights move within a policy version."""
        return self.document.spec.learns

    def _first_s(self, look: Look) -> int:
        length_s = self._seen_by(look).length_s
        return int(self.document.trial_s) // length_s * length_s

    def _request_cells(self, look: Look) -> Iterator[_Cell]:
        of = self._seen_by(look)
        return self._cells(look, of.totals, of.recent, of.length_s)

    def _seen_by(self, look: Look) -> RewardCounts:
        """Return the counts that a look is at, in the form of those of rewards."""
        totals, recent, group_totals, group_recent = self.counted[1:5]
        if look.metric:
            return self.counted.rewards.get(look.metric, NO_REWARDS)
        return RewardCounts(totals, recent, group_totals, group_recent, BUCKET_S, {})

    def _cells(
        self, look: Look, totals: Mapping[SumKey, Any], recent: Mapping[SumKey, Any], length_s: int
    ) -> Iterator[_Cell]:
        """Yield the strata."""
        oldest_s = min((key.bucket_s for key in recent), default=0)
        newest_s = max((key.bucket_s for key in recent), default=0)
        first_s = int(self.document.trial_s) // length_s * length_s
        cells: dict[tuple[int, int], list[Any]] = defaultdict(lambda: [0] * 12)
        for key, value in totals.items():
            self._add(cells, look, key, value, first_s)
        for key, value in recent.items():
            begins_s = block_start_s(key.bucket_s, newest_s, length_s)
            if begins_s > first_s and begins_s >= oldest_s:  # an older block has lost some of its buckets
                self._add(cells, look, key, value, begins_s)
                self._add(cells, look, key, -value, first_s)
        is_old = self._may_have_moved() and first_s < oldest_s
        for (policy_version, begins_s), counted in sorted(cells.items()):
            if policy_version < self.document.trial_version or (is_old and begins_s == first_s):
                continue
            counts, of_weighed, of_spread = counted[:4], counted[4:8], counted[8:]
            share = _mean_share(counts, of_weighed) if self._is_weighed else self._share(policy_version)
            if 0 < share < 1:
                yield _Cell(share, begins_s, counts, of_weighed, of_spread)

    def _share(self, policy_version: int) -> float:
        """Return the arm's share of the slots of both arms; 0 if neither has any."""
        slots = self.counted.weights.get(policy_version, {})
        own, others = slots.get(self.arm, 0), slots.get(self.trusted, 0)
        return own / (own + others) if own else 0.0

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
        if key.against or (key.arm != self.trusted and (key.arm, key.model_version) != (self.arm, self.version)):
            return
        side, other = (2, self.arm) if key.arm == self.trusted else (0, self.trusted)
        name = key.name
        for place, suffix in ((4, weighed("", other)), (8, spread("", other))):
            if name.endswith(suffix):
                name, side = name.removesuffix(suffix), side + place
        cell = cells[key.policy_version, begins_s]
        cell[side] = cell[side] + value * (name in look.among)
        cell[side + 1] = cell[side + 1] + value * (name == look.event)

    def _is_pair(self, key: SumKey) -> bool:
        """Return True if a sum is of pairs of this arm and the trusted arm, since the trial began."""
        is_primary = (key.arm, key.against) == (self.trusted, self.arm) and key.against_version == self.version
        is_shadow = (key.arm, key.against) == (self.arm, self.trusted) and key.model_version == self.version
        return self._is_since(key) and (is_primary or is_shadow)

    def _is_since(self, key: SumKey) -> bool:
        return key.policy_version >= self.document.trial_version


def _mean_share(counts: Sequence[Any], of_weighed: Sequence[Any]) -> float:
    """Return about what the arm's share of both arms was, if weights moved; 0 if nothing is known of it.

    It is the mean share over the trusted arm's requests or, if none of them could have gone to the arm, over the arm's.
    If the weights stayed, that is the share. Otherwise the variance of a draw with this share, s (1 - s), is no less
    than the mean of the variances.
    """
    requests, _, others, _ = (float(np.sum(each)) for each in counts)
    shares, _, other_shares, _ = (float(np.sum(each)) / MILLION for each in of_weighed)
    if other_shares:
        return other_shares / others
    return 1 - shares / requests if requests else 0.0


def _stacked(counts: Sequence[Any]) -> Any:
    """Return counts by group of units as one array of the shape (4, groups)."""
    return np.stack([np.zeros(GROUPS) + each for each in counts])


def _stratum(cell: _Cell) -> Stratum:
    requests, events, other_requests, other_events = cell.counts
    return Stratum(cell.share, requests, events, other_requests, other_events, cell.begins_s)
