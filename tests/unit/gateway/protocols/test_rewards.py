"""Rewards in their two protocols mean the same."""

from datetime import UTC, datetime

import msgspec
import pytest

from gateway.errors import BadRequest
from gateway.protocols import rewards_pb2 as pb
from gateway.protocols.rewards import RewardResult, SentReward, Unreadable
from gateway.protocols.rewards_grpc import read_message, write_message
from gateway.protocols.rewards_json import read_json, write_json

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
TIME = "2026-11-30T12:00:00Z"
WHOLE = SentReward("t", "click", value=0.5, event="e", op="retract", time=NOON)


def read(reward: pb.Reward) -> SentReward | Unreadable:
    (found,) = read_message(pb.RewardsRequest(rewards=[reward]).SerializeToString())
    return found


def test_a_reward_is_read_from_both():
    text = f'{{"decision":"t","metric":"click","value":0.5,"event":"e","op":"retract","time":"{TIME}"}}'
    message = pb.Reward(decision="t", metric="click", value=0.5, event="e", op="RETRACT", time=TIME)
    assert read_json(f'{{"rewards": [{text}]}}'.encode()) == [WHOLE]
    assert read(message) == WHOLE


def test_what_is_left_out_is_left_out():
    bare = SentReward("t", "click")
    assert read_json(b'{"rewards": [{"decision": "t", "metric": "click"}]}') == [bare]
    assert read(pb.Reward(decision="t", metric="click")) == bare
    assert bare.value is bare.label is bare.time is msgspec.UNSET


def test_zero_and_an_empty_label_are_not_left_out_over_grpc():
    assert read(pb.Reward(decision="t", metric="m", value=0.0)).value == 0.0
    assert read(pb.Reward(decision="t", metric="m", label="")).label == ""
    assert read(pb.Reward(decision="t", metric="m", number_label=0.0)).label == 0.0


def test_an_operation_of_a_later_version_refuses_its_reward():
    found = read(pb.Reward(decision="t", metric="m", value=1, op=9))
    assert isinstance(found, Unreadable)
    assert "op" in found.sentence


@pytest.mark.parametrize("content", [b"\xff", b"", pb.RewardsRequest(rewards=[pb.Reward()] * 1001).SerializeToString()])
def test_a_message_that_is_no_list_of_rewards_is_rejected(content):
    with pytest.raises(BadRequest):
        read_message(content)


def test_results_are_written_in_both():
    results = [RewardResult("counted"), RewardResult("refused", "No."), RewardResult("late"), RewardResult("duplicate")]
    assert write_json(results) == (
        b'{"results":[{"result":"counted"},{"result":"refused","error":"No."},{"result":"late"},{"result":"duplicate"}]}'
    )
    message = pb.RewardsResponse.FromString(write_message(results))
    names = [pb.RewardResult.Result.Name(each.result).lower() for each in message.results]
    assert [(name, each.error) for name, each in zip(names, message.results, strict=True)] == [
        tuple(each) for each in results
    ]
