"""The rows of the table `rewards`: one per reward that arrived, also if it repeats another or comes late."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa

from inference_log import request_slots
from inference_log.record import SCHEMA_VERSION, Reward, RewardContext
from inference_log.schema import REWARDS
from router.draw.assignment import BUCKETS
from router.rewards.events import Operation


def reward_table(context: RewardContext, rewards: Sequence[Reward], writer_id: str) -> pa.Table:
    """Return one row for each reward of one context, in their order."""
    labels = [each.value if isinstance(each.value, str) else None for each in rewards]
    columns = {
        "reward_id": [reward_id(each) for each in rewards],
        "event_id": [each.event for each in rewards],
        "op": [str(each.operation) for each in rewards],
        "value": [None if isinstance(each.value, str) else each.value for each in rewards],
        "label": labels,
        "reward_ts": [each.event_us // 1000 for each in rewards],
        "reward_ts_us": [each.event_us for each in rewards],
        "ingested_ts": [each.arrived_us // 1000 for each in rewards],
        "ingested_ts_us": [each.arrived_us for each in rewards],
        "decision_ts_us": [each.decided_us for each in rewards],
        "inference_dt": [_day(each.decided_us + each.latency_us) for each in rewards],
        "late": [each.is_late for each in rewards],
        "unit_group": [None if each.group < 0 else each.group for each in rewards],
        "schema_version": [SCHEMA_VERSION] * len(rewards),
        "writer_id": [writer_id] * len(rewards),
        "weights": [_weights(context, each) for each in rewards],
    }
    for name in ("arm", "policy_version", "model_version", "declared_us"):
        columns[name] = [getattr(context, name)] * len(rewards)
    for name in ("decision_id", "metric", "source", "propensity", "writer_seq", "latency_us"):
        columns[name] = [getattr(each, name) for each in rewards]
    return pa.table([pa.array(columns[field.name], field.type) for field in REWARDS.columns], schema=REWARDS.columns)


def reward_id(reward: Reward) -> str:
    """Return the id of what a reward says: equal for those that say the same of the same event.

    The time belongs to it only if the reward sets a value, since then the later one counts.
    """
    time_us = reward.event_us if reward.operation is Operation.SET else 0
    said = (reward.decision_id, reward.metric, reward.event, str(reward.operation), time_us, reward.value)
    return hashlib.blake2b(repr(said).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _weights(context: RewardContext, reward: Reward) -> list[tuple[str, float]] | None:
    """Return the weights of the decision; None if they are not known, or nothing needs them."""
    if context.weighing is None or reward.slots is None:
        return None
    slots = request_slots.unpack(reward.slots, len(context.weighing.arms))
    return (
        None
        if slots is None
        else [(arm, owned / BUCKETS) for arm, owned in zip(context.weighing.arms, slots, strict=True)]
    )


def _day(time_us: int) -> str:
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%d")
