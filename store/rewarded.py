"""What a store adds to the sums of rewards, and what it returns of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from router.rewards.outcomes import OutcomeChange
from router.rewards.sums import ContextSums, RewardSums


@dataclass(frozen=True, slots=True)
class Rewarded:
    """What a range of a source adds to the sums of rewards, by route, and to what is kept of the outcomes of decisions.

    `contexts` are added to the sums from which contextual bandits learn. `outcomes` replace what was read of them. If
    one of them has changed since, nothing of the range is added.
    """

    sums: Mapping[str, RewardSums] = field(default_factory=dict)
    outcomes: Sequence[OutcomeChange] = ()
    contexts: Mapping[str, ContextSums] = field(default_factory=dict)


NO_REWARDS = Rewarded()


class ReadRewards(NamedTuple):
    """The sums of rewards: over all time (bucket 0), and by time bucket."""

    totals: RewardSums
    recent: RewardSums
