"""What came of the decisions of a crowd: clicks, P(best) and regret."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bandits.best.beta import best_of_betas

_ANSWERED_S = 1.0
"""For how long after its window a decision is still open here: the gateway's answer to a reward takes time."""


class Figures(NamedTuple):
    """What is known at a second of the session. `weights` are the gateway's; None if it has not said them.

    `policy` is the number of the learned policy, 0 before the first. `matured` has the decisions whose window is over,
    and `clicks` those of them that were rewarded. `regret` is how many clicks an oracle would have had more, and
    `uniform_regret` how many more than equal weights for the same people. `trouble` says why the last of the `failed`
    requests did.
    """

    second: int
    policy: int | None
    weights: Mapping[str, float] | None
    p_best: Mapping[str, float]
    decisions: Mapping[str, int]
    matured: Mapping[str, int]
    clicks: Mapping[str, int]
    regret: float
    uniform_regret: float
    rewards: Mapping[str, int]
    failed: int
    trouble: str


class _Decision(NamedTuple):
    number: int
    arm: str
    at_s: float


class Tally:
    """Counts the decisions of a session and the rewards of which the gateway said that they count.

    P(best) is that of Beta posteriors with uniform priors. It may pool over time, since the crowd does not change with
    the hour; the gateway, which cannot know that, compares the arms within time buckets.
    """

    def __init__(self, arms: Sequence[str], window_s: float) -> None:
        self.failed = 0
        self.trouble = ""
        self.regret = self.uniform_regret = 0.0
        self.rewards: Counter[str] = Counter()
        self._open_s = window_s + _ANSWERED_S
        self._arms = tuple(arms)
        self._decided = Counter[str]()
        self._matured = Counter[str]()
        self._clicks = Counter[str]()
        self._open: deque[_Decision] = deque()
        self._clicked: set[int] = set()

    def decided(self, number: int, arm: str, rates: Mapping[str, float], now_s: float) -> None:
        """Count a decision, and what it costs in expected clicks at these rates."""
        best = max(rates.values())
        self._decided[arm] += 1
        self._open.append(_Decision(number, arm, now_s))
        self.regret += best - rates[arm]
        self.uniform_regret += best - sum(rates.values()) / len(rates)

    def rewarded(self, number: int, result: str) -> None:
        """Count a click with what the gateway said of it: `counted`, `late`, `duplicate` or `refused`."""
        self.rewards[result] += 1
        if result == "counted":
            self._clicked.add(number)

    def figures(
        self, second: int, now_s: float, *, policy: int | None, weights: Mapping[str, float] | None, on_the_way: int
    ) -> Figures:
        """Return what is known at `now_s`. `on_the_way` clicks are not reported yet."""
        while self._open and self._open[0].at_s + self._open_s < now_s:
            decision = self._open.popleft()
            self._matured[decision.arm] += 1
            self._clicks[decision.arm] += decision.number in self._clicked
            self._clicked.discard(decision.number)
        clicks, matured = (self._by_arm(each) for each in (self._clicks, self._matured))
        p_best = best_of_betas(
            [1.0 + clicks[arm] for arm in self._arms], [1.0 + matured[arm] - clicks[arm] for arm in self._arms]
        )
        return Figures(
            second=second,
            policy=policy,
            weights=weights,
            p_best={arm: round(p, 4) for arm, p in zip(self._arms, p_best, strict=True)},
            decisions=self._by_arm(self._decided),
            matured=matured,
            clicks=clicks,
            regret=round(self.regret, 1),
            uniform_regret=round(self.uniform_regret, 1),
            rewards={**self.rewards, "on the way": on_the_way},
            failed=self.failed,
            trouble=self.trouble,
        )

    def _by_arm(self, counts: Counter[str]) -> dict[str, int]:
        return {arm: counts[arm] for arm in self._arms}
