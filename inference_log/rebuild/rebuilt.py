"""What is rebuilt: sums of rewards and numbers of requests, of all time, and sums of contexts, by time bucket."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from router.evidence.sums import SumKey
from router.rewards.sums import ContextSums, RewardKey, RewardSum, RewardSums, add_integers, add_to
from router.spec.metric import MetricSpec
from router.spec.weighing import Weighing


class Declared(NamedTuple):
    """What a version of a route's document declares of its rewards. `maximised`: see `Context`."""

    metrics: tuple[MetricSpec, ...] = ()
    maximised: str = ""
    weighing: Weighing | None = None


DeclaredBy = Callable[[str, int], Declared]
"""Returns what a version of a route's document declares."""


@dataclass
class Rebuilt:
    """The sums of each route, and how many drawn decisions and rewards were read."""

    rewards: dict[str, dict[RewardKey, RewardSum]] = field(default_factory=dict)
    contexts: dict[str, dict[RewardKey, tuple[int, ...]]] = field(default_factory=dict)
    requests: dict[str, Counter[SumKey]] = field(default_factory=dict)
    decisions_read: int = 0
    rewards_read: int = 0

    def add(self, route: str, sums: RewardSums) -> None:
        """Add sums of rewards of a route."""
        of_route = self.rewards.setdefault(route, {})
        for key, more in sums.items():
            total = key._replace(bucket_s=0)
            add_to(of_route, total, more)

    def add_contexts(self, route: str, sums: ContextSums) -> None:
        """Add sums of contexts of a route."""
        of_route = self.contexts.setdefault(route, {})
        for key, more in sums.items():
            add_integers(of_route, key, more)


def quoted(texts: Sequence[str]) -> str:
    """Return texts as SQL lists them."""
    return ", ".join("'" + each.replace("'", "''") + "'" for each in sorted(texts))
