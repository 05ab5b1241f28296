"""Rewards in any order, repeated, and divided among machines in any way: the same outcomes and the same sums."""

import random
from collections.abc import Iterable, Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_log.record import Reward, RewardContext
from inference_log.reward_tally import Result, Weighed, decision_keys, weigh
from router.rewards.buckets import settling_s
from router.rewards.events import MAX_EVENTS, Operation
from router.rewards.outcomes import DecisionKey
from router.rewards.sums import RewardKey, RewardSum, combine
from router.spec.parse_metrics import parse_metrics

METRICS = parse_metrics(
    {
        "click": {"window": "1m"},
        "revenue": {"window": "1h", "range": [0, 500], "default": 5, "aggregate": "sum"},
        "first": {"window": "1m", "range": [-1, 1], "aggregate": "first"},
        "net": {"formula": "revenue - 0.1 * latency_ms + click", "range": [-100, 600]},
        "was": {"window": "1m", "label": True},
    }
)
DECLARED_US = 1_799_000_000_000_000
DECIDED_US = 1_800_000_000_000_000
CONTEXTS = {
    1: RewardContext(1, "fraud", DECLARED_US, 3, "canary", "17", METRICS),
    2: RewardContext(2, "fraud", DECLARED_US, 4, "stable", "16", METRICS),
    3: RewardContext(3, "fraud", DECLARED_US + 1, 1, "canary", "17", METRICS[:1]),
}


def reward(context: int = 1, **more: object) -> Reward:
    values = {
        "decision_id": "d1", "decided_us": DECIDED_US, "latency_us": 3000, "propensity": 0.1, "group": -1,
        "metric": "click", "event": "e1", "operation": Operation.ADD, "event_us": DECIDED_US + 5, "value": 1.0,
        "arrived_us": DECIDED_US + 9, "is_late": False, "source": "http",
    }  # fmt: skip
    return Reward(context=context, writer_seq=1, **(values | more))


def of_decision(number: int) -> dict[str, object]:
    """Return what is the same in all rewards of a decision. One of them was not drawn."""
    return {
        "context": number % 3 + 1,
        "decision_id": f"d{number}",
        "decided_us": DECIDED_US + number * 7_000_000,
        "latency_us": number * 1000,
        "propensity": None if number == 5 else 0.5,
        "group": number % 4 - 1,
    }


numbers = st.sampled_from([0.0, 0.25, 1.0])
rewards = st.builds(
    lambda number, metric, event, operation, at_us, value, is_late: reward(
        **of_decision(number),
        metric=metric if number % 3 < 2 else "click",
        event=event,
        operation=operation,
        event_us=DECIDED_US + at_us,
        value=str(value) if metric == "was" and number % 3 < 2 else value,
        is_late=is_late,
    ),
    st.integers(0, 6),
    st.sampled_from(["click", "revenue", "first", "was"]),
    st.sampled_from(["e1", "e2", "e3"]),
    st.sampled_from([Operation.ADD, Operation.ADD, Operation.SET, Operation.RETRACT]),
    st.integers(0, 3),
    numbers,
    st.sampled_from([False, False, False, True]),
)


class Site:
    """What a store holds after rewards were counted in pieces."""

    def __init__(self) -> None:
        self.outcomes: dict[DecisionKey, bytes] = {}
        self.sums: dict[tuple[str, RewardKey], RewardSum] = {}
        self.results: list[Result] = []

    def count(self, piece: Sequence[Reward]) -> Weighed:
        keys = decision_keys(CONTEXTS, piece)
        weighed = weigh(CONTEXTS, piece, {key: self.outcomes.get(key, b"") for key in keys})
        for change in weighed.changes:
            assert change.before == self.outcomes.get(change.key, b"")
            self.outcomes[change.key] = change.after
        for route, sums in weighed.added.items():
            for key, value in sums.items():
                self.sums[route, key] = combine(self.sums.get((route, key), RewardSum(0, 0, 0, 0)), value)
        self.results += [result for result, _ in weighed.results]
        return weighed

    def state(self) -> tuple[object, object]:
        """Return the outcomes, and the sums that are not nought."""
        known = {key: msgspec.msgpack.decode(content) for key, content in self.outcomes.items()}
        return known, {key: value for key, value in self.sums.items() if any(value)}


def counted(pieces: Iterable[Sequence[Reward]]) -> Site:
    site = Site()
    for piece in pieces:
        site.count(piece)
    return site


def divided(chance: random.Random, given_rewards: Sequence[Reward]) -> list[list[Reward]]:
    """Return rewards in pieces, in order."""
    pieces: list[list[Reward]] = [[]]
    for each in given_rewards:
        if chance.random() < 0.4:
            pieces.append([])
        pieces[-1].append(each)
    return pieces


@given(st.lists(rewards, max_size=30), st.randoms(use_true_random=False))
@settings(max_examples=300)
def test_any_order_repetition_and_division_gives_the_same_outcomes_and_sums(all_rewards, chance: random.Random):
    clean = counted([all_rewards])
    shuffled = [each for each in all_rewards for _ in range(chance.randint(1, 3))]
    chance.shuffle(shuffled)
    assert counted(divided(chance, shuffled)).state() == clean.state()
    again = counted([all_rewards, shuffled])
    assert again.state() == clean.state()
    assert Result.COUNTED not in again.results[len(all_rewards) :]


@given(st.lists(rewards, max_size=30))
@settings(max_examples=100)
def test_a_reward_that_was_counted_changed_something_and_the_others_are_in_no_sum(all_rewards):
    site = Site()
    for each in all_rewards:
        before = site.state()
        weighed = site.count([each])
        (result, sentence), *_ = weighed.results
        changed = site.state() != before
        assert changed == bool(weighed.changes)
        if result in (Result.LATE, Result.REFUSED):
            assert not changed
        if result is Result.COUNTED:
            assert changed
        assert bool(sentence) == (result is Result.REFUSED)
    assert (Result.LATE in site.results) == any(each.is_late for each in all_rewards)


@given(st.lists(rewards, max_size=30))
@settings(max_examples=100)
def test_sums_of_groups_add_up_to_those_of_their_decisions(all_rewards):
    sums = counted([all_rewards]).sums
    for (route, key), value in sums.items():
        if key.group >= 0:  # a decision that is in a group is in the sum of all, too
            assert (route, key._replace(group=-1)) in sums
            assert value.decisions == 0


def test_decisions_without_a_draw_are_in_no_sum_and_their_outcomes_are_known():
    site = counted([[reward(propensity=None)]])
    assert site.results == [Result.COUNTED]
    assert site.state()[1] == {}
    assert len(site.outcomes) == 1
    assert counted([[reward(propensity=None)], [reward(propensity=None)]]).results[1] is Result.DUPLICATE


def test_decisions_are_told_apart_by_the_life_of_their_route():
    site = counted([[reward(1), reward(3), reward(2, decision_id="d2")]])
    assert site.results == [Result.COUNTED] * 3
    assert set(site.outcomes) == {
        DecisionKey("fraud", DECLARED_US, "d1"),
        DecisionKey("fraud", DECLARED_US + 1, "d1"),
        DecisionKey("fraud", DECLARED_US, "d2"),
    }


def test_outcomes_are_kept_until_the_longest_window_of_the_route_is_over():
    [change] = weigh(CONTEXTS, [reward()], {}).changes
    assert change.kept_until_s == DECIDED_US // 1_000_000 + 3600 + settling_s(3600) + 1


def test_what_became_of_each_report_of_an_event():
    add, other, put, gone = (
        reward(),
        reward(value=0.0),
        reward(operation=Operation.SET, value=0.5),
        reward(operation=Operation.RETRACT),
    )
    site = counted([[add, add, other, put, add, put, gone, put, add, gone]])
    assert site.results == [
        Result.COUNTED,
        Result.DUPLICATE,
        Result.REFUSED,  # another value, without op set
        Result.COUNTED,
        Result.DUPLICATE,
        Result.DUPLICATE,
        Result.COUNTED,
        Result.DUPLICATE,
        Result.DUPLICATE,
        Result.DUPLICATE,
    ]
    assert site.state()[1] == {}


def test_a_decision_has_so_many_events_of_a_metric_and_no_more():
    site = counted([[reward(metric="revenue", event=f"e{number}") for number in range(MAX_EVENTS)]])
    assert set(site.results) == {Result.COUNTED}
    weighed = site.count([reward(metric="revenue", event="more"), reward(metric="revenue", event="e1")])
    assert [result for result, _ in weighed.results] == [Result.REFUSED, Result.DUPLICATE]
    assert "64 events of revenue already" in weighed.results[0][1]
    assert weighed.changes == []
    assert site.count([reward(metric="click", event="more")]).results == [(Result.COUNTED, "")]


@given(st.binary(max_size=40) | st.binary(max_size=10).map(lambda end: b"\x81\xa5click\x81\xa2e1" + end))
@settings(max_examples=300)
def test_outcomes_that_are_damaged_do_not_hold_up_the_count(content):
    key = DecisionKey("fraud", DECLARED_US, "d1")
    weighed = weigh(CONTEXTS, [reward(event="another")], {key: content})
    assert [result for result, _ in weighed.results] == [Result.COUNTED]
    [change] = weighed.changes
    assert change.before == content


@pytest.mark.parametrize(
    "content",
    [
        b"\xc1",
        b"\x81\xa5click\x81\xa2e1\x93\xa3add\x01",
        b"\x81\xa1\xff\x80",
        b"\x80\x80",
        b"\x91\x01",
        msgspec.msgpack.encode({"click": {"e1": ("add", 5, float("inf"))}}),
        msgspec.msgpack.encode({"click": {"e1": ("add", 5, 1.0), "e2": ("add", 5, float("nan"))}}),
    ],
)
def test_damaged_outcomes_are_none(content):
    key = DecisionKey("fraud", DECLARED_US, "d1")
    [change] = weigh(CONTEXTS, [reward()], {key: content}).changes
    assert change.after == weigh(CONTEXTS, [reward()], {}).changes[0].after
