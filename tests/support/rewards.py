"""Sums of rewards and outcomes for the tests of stores."""

from router.rewards.outcomes import DecisionKey, OutcomeChange
from router.rewards.sums import NO_GROUP, RewardKey, RewardSum
from store.interface import Rewarded

NOW_S = 1_800_000_000


def reward_key(bucket_s: int, policy_version: int = 1, group: int = NO_GROUP, length_s: int = 10) -> RewardKey:
    return RewardKey(bucket_s, length_s, policy_version, "canary", "17", "click", group)


def clicks(number: int) -> RewardSum:
    """Return what so many decisions add, of which each got the largest reward."""
    return RewardSum(number, number, number * 1_000_000, number * 1_000_000)


def decision(number: int, route: str = "fraud", declared_us: int = 1_799_000_000_000_000) -> DecisionKey:
    return DecisionKey(route, declared_us, f"{number:024x}")


def changed(number: int, before: bytes, after: bytes, until_s: int = NOW_S + 3600) -> OutcomeChange:
    return OutcomeChange(decision(number), before, after, until_s)


def rewarded(number: int, before: bytes, after: bytes) -> Rewarded:
    """Return one more click for a decision."""
    return Rewarded({"fraud": {reward_key(NOW_S): clicks(1)}}, [changed(number, before, after)])
