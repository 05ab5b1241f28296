"""Rewards that many machines count at once, shuffled and repeated: the sums are those of one machine."""

import random
import threading

import msgspec
import pytest

from gateway.control.reward_counter import RewardCounter, Tallied
from inference_log.record import Reward, RewardContext
from inference_log.reward_tally import Result, decision_keys, weigh
from router.rewards.events import Operation
from router.spec.parse_metrics import parse_metrics
from store.errors import StoreUnavailable
from store.interface import Store
from tests.support.rewards import NOW_S

MACHINES, DECISIONS, PIECES = 4, 30, 12
METRICS = parse_metrics(
    {
        "click": {"window": "1h"},
        "revenue": {"window": "1h", "range": [0, 500], "default": 5, "aggregate": "sum"},
        "net": {"formula": "revenue - 0.1 * latency_ms + click", "range": [-100, 600]},
    }
)
CONTEXTS = {1: RewardContext(1, "fraud", 1_799_000_000_000_000, 3, "canary", "17", METRICS)}


def reported(dice: random.Random) -> list[Reward]:
    """Return rewards: of each decision some events that are added, of which some are set and some retracted later."""
    rewards = []
    for number in range(DECISIONS):
        for event in range(dice.randint(1, 3)):
            metric, value = dice.choice([("click", 1.0), ("click", 0.5), ("revenue", 20.0), ("revenue", 400.0)])
            steps = [(Operation.ADD, value), (Operation.SET, value / 2), (Operation.RETRACT, 0.0)]
            for operation, given in steps[: dice.randint(1, 3)]:
                at_us = (NOW_S + 30 * number) * 1_000_000
                rewards.append(
                    Reward(
                        1, 0, f"{number:024x}", at_us, 3000, 0.5, number % 5 - 1, metric, f"{metric} {event}",
                        operation, at_us + 9, given, at_us + 99, False, "http",
                    )
                )  # fmt: skip
    return rewards


@pytest.mark.parametrize("seed", [1, 2])
def test_the_sums_are_those_of_one_machine_and_each_reward_was_counted_by_one(kind, seed):
    dice = random.Random(seed)  # noqa: S311  # a test that can be repeated
    rewards = reported(dice)
    clean = weigh(CONTEXTS, rewards, {})
    results: list[tuple[Reward, Result]] = []
    failures: list[BaseException] = []
    plans = []
    for _ in range(MACHINES):  # each machine gets all rewards, in another order
        shuffled = dice.sample(rewards, len(rewards))
        plans.append([shuffled[at::PIECES] for at in range(PIECES)])

    def settled(_: str, of_piece: object, became: object) -> None:
        results.extend((reward, result) for reward, (result, _) in zip(of_piece, became, strict=True))

    def count(machine: int, store: Store) -> None:
        try:
            counter = RewardCounter(store, settled)
            for end, piece in enumerate(plans[machine]):
                tallied = Tallied(end + 1, {}, {}, {}, piece, CONTEXTS, decision_keys(CONTEXTS, piece))
                while True:
                    try:
                        assert counter.add(f"segment {machine}", end, tallied) == end + 1
                        break
                    except StoreUnavailable as busy:  # the others were quicker twenty times
                        assert "changed by many machines" in str(busy)  # noqa: PT017  # no other failure
        except BaseException as error:  # noqa: BLE001  # asserted below
            failures.append(error)

    threads = [threading.Thread(target=count, args=(machine, kind.open())) for machine in range(MACHINES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []

    store = kind.open()
    found = dict(store.reward_sums("fraud", 1, 0).recent) | dict(store.reward_sums("fraud", 1, 0, by_group=True).recent)
    expected = {key: value for key, value in clean.added["fraud"].items() if any(value)}
    assert {key: value for key, value in found.items() if any(value)} == expected
    keys = [change.key for change in clean.changes]
    contents = [msgspec.msgpack.decode(content) for content in store.outcomes(keys)]
    assert contents == [msgspec.msgpack.decode(change.after) for change in clean.changes]
    assert len(results) == MACHINES * len(rewards)
    counted = [(each.decision_id, each.event, each.operation) for each, result in results if result is Result.COUNTED]
    assert len(counted) == len(set(counted))  # no report was counted by two machines
