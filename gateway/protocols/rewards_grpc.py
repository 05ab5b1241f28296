"""Rewards as protobuf: the messages of `pointsman.Rewards`."""

from collections.abc import Sequence
from typing import Any

from google.protobuf.message import DecodeError

from gateway.errors import BadRequest
from gateway.protocols import rewards_pb2 as pb
from gateway.protocols.rewards import RewardResult, SentReward, Unreadable, read_reward, require_count

_FIELDS = {"value": "value", "label": "label", "number_label": "label"}
_OPERATIONS = {pb.Reward.ADD: "add", pb.Reward.SET: "set", pb.Reward.RETRACT: "retract"}
_RESULTS = {
    "counted": pb.RewardResult.COUNTED,
    "duplicate": pb.RewardResult.DUPLICATE,
    "late": pb.RewardResult.LATE,
    "refused": pb.RewardResult.REFUSED,
}


def read_message(content: bytes) -> list[SentReward | Unreadable]:
    """Read the rewards of a message, in order.

    Raises:
        BadRequest: the bytes are no message with 1 to 1,000 rewards.
    """
    try:
        message = pb.RewardsRequest.FromString(content)
    except DecodeError as error:
        raise BadRequest("The bytes are not a RewardsRequest.") from error
    require_count(len(message.rewards))
    return [read_reward(_values(each)) for each in message.rewards]


def write_message(results: Sequence[RewardResult]) -> bytes:
    """Return the message of a response."""
    response = pb.RewardsResponse(
        results=[pb.RewardResult(result=_RESULTS[each.result], error=each.error) for each in results]
    )
    content: bytes = response.SerializeToString()
    return content


def _values(reward: pb.Reward) -> dict[str, Any]:
    """Return a reward as JSON would have it. An operation of a later version of the protocol is left as its number."""
    values: dict[str, Any] = {
        "decision": reward.decision,
        "metric": reward.metric,
        "event": reward.event,
        "op": _OPERATIONS.get(reward.op, reward.op),
    }
    if reward.time:
        values["time"] = reward.time
    outcome = reward.WhichOneof("outcome")
    if outcome is not None:
        values[_FIELDS[outcome]] = getattr(reward, outcome)
    return values
