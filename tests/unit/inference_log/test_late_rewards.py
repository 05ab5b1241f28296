"""Rewards that come after the window are counted apart, and add nothing to what the decisions are worth."""

from inference_log.record import Reward, RewardContext
from inference_log.reward_tally import Result, tally_late, weigh
from router.evidence.sums import SumKey
from router.rewards.events import Operation
from router.spec.metric import MetricSpec

CONTEXTS = {0: RewardContext(0, "shop", 5, 3, "canary", "17", (MetricSpec("click", 3600.0),))}


def reward(number: int, *, is_late: bool, propensity: float | None = 0.5) -> Reward:
    return Reward(
        0, number, f"d{number}", 1_000_000, 900, propensity, -1, "click", "", Operation.ADD, 2_000_000, 1.0, 3_000_000,
        is_late, "http",
    )  # fmt: skip


def test_late_rewards_of_drawn_decisions_are_counted_by_arm():
    rewards = [reward(1, is_late=True), reward(2, is_late=True), reward(3, is_late=False)]
    rewards.append(reward(4, is_late=True, propensity=None))  # it was forced
    key = SumKey(0, 3, "canary", "17", "", "late:click")
    assert tally_late(CONTEXTS, rewards) == {"shop": {key: 2}}
    weighed = weigh(CONTEXTS, rewards, {})
    assert [result for result, _ in weighed.results] == [Result.LATE, Result.LATE, Result.COUNTED, Result.LATE]
    assert [change.key.decision_id for change in weighed.changes] == ["d3"]
