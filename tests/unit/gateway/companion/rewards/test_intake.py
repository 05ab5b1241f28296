"""What becomes of each reward of a request: counted, duplicate, late, or refused with a sentence."""

import json
from dataclasses import replace

import pytest

from gateway.companion.rewards.messages import Outcome
from router.document.apply import apply
from router.document.commands import Declare
from router.spec.parse import parse_spec
from tests.unit.gateway.companion.rewards.support import (
    LIFE_US,
    METRICS,
    NOON_US,
    Taken,
    decision,
    document,
    reward,
    sums,
    token,
    words,
    write,
)

HOUR_US = 3_600_000_000
GOOD = {"decision": token(9), "metric": "click", "value": 1}


def test_each_reward_has_its_result_in_order(taken, store):
    results = taken.send(
        reward(1), {"metric": "click"}, reward(1), reward(2, value=0), reward(3, "revenue", 20.5, event="a")
    )
    assert words(results) == ["counted", "refused", "duplicate", "counted", "counted"]
    assert results[0] == {"result": "counted"}
    assert sums(store)["canary", "click"] == (2, 1_000_000, 1_000_000)
    assert sums(store)["canary", "revenue"] == (1, 41_000, 1681)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"value": "0.9"}, "must be a finite number, not '0.9'"),
        ({"value": True}, "must be a finite number, not True"),
        ({"value": None}, "must be a finite number, not None"),
        ({"value": float("nan")}, "must be a finite number, not nan"),
        ({"value": float("inf")}, "must be a finite number, not inf"),
        ({"value": [1]}, "must be a finite number, not [1]"),
        ({"value": 1.0000001}, "is 1.0000001; it must lie in the range that the route declares, 0 to 1"),
        ({"value": -0.1}, "must lie in the range"),
        ({"value": 10**400}, "click must be a finite number, not a number of over 40 digits"),
        ({"metric": "clicks"}, "Route fraud has no metric 'clicks'; it has click, revenue, was."),
        ({"metric": "net"}, "Metric net is computed from revenue, latency_ms, and is not reported itself."),
        ({"metric": "was"}, "Metric was is a label: send `label`, not `value`."),
        ({"label": "cat"}, "Metric click is a number: send `value`, not `label`."),
        ({"metric": 3}, "Expected `str`, got `int` - at `$.metric`"),
        ({"decision": 7}, "Expected `str`, got `int` - at `$.decision`"),
        ({"decision": "x" * 40}, "token"),
        ({"decision": token(9)[:-4]}, "token"),
        ({"decision": "\ud800"}, "token"),
        ({"time": "2026-11-30T11:54:59Z"}, "more than 5 minutes before the decision, which was made at 2026-11-30T12:"),
        ({"time": "2026-11-30T12:06:01Z"}, "more than 5 minutes in the future: it is 2026-11-30T12:01:00+00:00 now"),
        ({"time": "2026-11-30T12:00:00"}, "timezone"),
        ({"time": 1_796_040_000}, "Expected `datetime`, got `int`"),
        ({"time": None}, "Expected `datetime`, got `null`"),
        ({"time": "yesterday"}, "Invalid RFC3339"),
        ({"time": "0001-01-01T00:00:00+14:00"}, "before the decision"),
        ({"event": "e" * 129}, "is not an id of at most 128 characters"),
        ({"event": "a\nb"}, "without control characters"),
        ({"event": "a\u0085b"}, "without control characters"),
        ({"event": "é\ud800"}, "without control characters"),
        ({"event": 5}, "Expected `str`, got `int` - at `$.event`"),
        ({"op": "increment"}, "Invalid enum value 'increment'"),
        ({"user": "ann"}, "unknown field `user`"),
        ({"us\ud800r": "ann"}, "half of a surrogate pair"),
    ],
)
def test_what_is_not_right_is_refused_with_a_sentence_and_the_others_count(taken, store, changes, said):
    results = taken.send(reward(1), GOOD | changes, reward(2))
    assert words(results) == ["counted", "refused", "counted"]
    assert said in results[1]["error"]
    assert len(results[1]["error"]) < 320
    assert sums(store)["canary", "click"][0] == 2
    assert [each.decision_id for each in taken.logged()] == [f"{1:024x}", f"{2:024x}"]


def test_a_reward_without_a_value_is_no_reward_unless_it_retracts(taken, store):
    bare = {"decision": token(1), "metric": "click"}
    assert taken.send(bare)[0]["error"] == "The reward has no `value`; metric click needs one."
    assert words(taken.send(reward(1), bare | {"op": "retract"}, reward(1))) == ["counted", "counted", "duplicate"]
    assert sums(store).get(("canary", "click"), (0, 0, 0)) == (0, 0, 0)


def test_a_key_that_comes_twice_refuses_its_reward_only(taken):
    body = f'{{"rewards": [{json.dumps(GOOD)[:-1]}, "value": 0}}, {json.dumps(reward(1))}]}}'
    results = json.loads(taken.ask(body.encode()).content)["results"]
    assert words(results) == ["refused", "counted"]
    assert results[0]["error"] == "This is no reward: it has the key 'value' twice."


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"null",
        b'{"rewards": []}',
        b'{"rewards": {}}',
        b'{"rewards": [1], "more": 1}',
        b'{"rewards": [1], "rewards": [1]}',
        json.dumps({"rewards": [GOOD] * 1001}).encode(),
        b"[" * 100_000,
        b'{"rewards": [{"value": ' + b"9" * 5000 + b"}]}",
    ],
)
def test_a_body_that_is_no_list_of_rewards_is_rejected_whole(taken, body):
    answered = taken.ask(body)
    assert answered.outcome is Outcome.REJECTED
    assert answered.content.decode().startswith(("Send {", "The body cannot be read"))
    assert taken.logged() == []


def test_a_thousand_rewards_are_taken_at_once(taken, store):
    assert words(taken.send(*[reward(number) for number in range(1000)])) == ["counted"] * 1000
    assert sums(store)["canary", "click"] == (1000, 1_000_000_000, 1_000_000_000)


def test_without_an_id_a_decision_has_one_event_and_with_ids_it_has_several(taken, store):
    assert words(taken.send(reward(1, "revenue", 10), reward(1, "revenue", 20, op="set"))) == ["counted", "counted"]
    assert sums(store)["canary", "revenue"] == (1, 40_000, 1600)
    assert words(taken.send(reward(2, "revenue", 10, event="a"), reward(2, "revenue", 20, event="b"))) == [
        "counted",
        "counted",
    ]
    assert sums(store)["canary", "revenue"][:2] == (2, 100_000)


def test_an_event_that_is_reported_with_another_value_is_refused_and_says_how_to_correct_it(taken):
    results = taken.send(reward(1, "revenue", 10), reward(1, "revenue", 11))  # the first in order came first
    assert words(results) == ["counted", "refused"]
    assert "op set" in results[1]["error"]
    taken.now_us += 1_000_000
    assert words(taken.send(reward(1, "revenue", 12), reward(1, "revenue", 10))) == ["refused", "duplicate"]


def test_a_reward_after_the_window_is_late_and_in_the_log_and_in_no_sum(taken, store):
    taken.now_us = NOON_US + HOUR_US
    assert words(taken.send(reward(1))) == ["counted"]
    taken.now_us += 1
    assert words(taken.send(reward(2), reward(2, "revenue", 5), reward(2, time="2026-11-30T12:00:01Z"))) == [
        "late",
        "counted",
        "late",
    ]
    assert sums(store)["canary", "click"][0] == 1
    assert [each.is_late for each in taken.logged()] == [False, True, False, True]


def test_a_token_that_is_older_than_any_window_is_refused(taken):
    taken.now_us = NOON_US + 91 * 24 * HOUR_US
    assert words(taken.send(reward(1))) == ["late"]
    taken.now_us += 1
    (result,) = taken.send(reward(1))
    assert "more than 91d ago" in result["error"]
    assert len(taken.logged()) == 1


def test_a_time_within_five_minutes_of_either_clock_is_taken(taken):
    taken.now_us = NOON_US
    for number, time in enumerate(["2026-11-30T11:55:00Z", "2026-11-30T12:05:00Z", "2026-11-30T13:00:00+01:00"]):
        assert words(taken.send(reward(number, time=time))) == ["counted"]
    assert [each.event_us - NOON_US for each in taken.logged()] == [-300_000_000, 300_000_000, 0]


def test_without_a_time_it_happened_when_it_arrived(taken):
    taken.send(reward(1), reward(2))
    assert [each.event_us - taken.now_us for each in taken.logged()] == [0, 1]  # one after the other
    assert {each.arrived_us for each in taken.logged()} == {taken.now_us}


@pytest.mark.parametrize("label", ["cat", "用户", 7, -0.5, "x" * 256])
def test_a_label_is_a_text_or_a_number(taken, label):
    sent = {"decision": token(1), "metric": "was", "label": label}
    assert words(taken.send(sent, sent)) == ["counted", "duplicate"]
    assert taken.logged()[0].value == label


@pytest.mark.parametrize("label", ["", "x" * 257, "a\tb", True, None, float("nan"), 2**53 + 1, ["cat"], "\ud800"])
def test_what_is_no_label_is_refused(taken, label):
    (result,) = taken.send({"decision": token(1), "metric": "was", "label": label})
    assert result["result"] == "refused"
    assert "label" in result["error"]


def test_the_log_says_all_of_a_reward_and_of_its_decision(taken):
    sent = reward(1, "revenue", 20, event="e-17", op="set", time="2026-11-30T12:00:30.000001Z")
    sent["decision"] = token(1, group=12, propensity=None, latency_us=77)
    assert words(taken.send(sent)) == ["counted"]
    (logged,) = taken.logged()
    assert logged.decision_id == f"{1:024x}"
    assert (logged.decided_us, logged.latency_us, logged.propensity, logged.group) == (NOON_US, 77, None, 12)
    assert (logged.metric, logged.event, str(logged.operation), logged.value) == ("revenue", "e-17", "set", 20.0)
    assert (logged.event_us, logged.arrived_us) == (NOON_US + 30_000_001, taken.now_us)
    assert (logged.is_late, logged.source) == (False, "http")


def test_decisions_of_routes_that_the_key_may_not_reward_are_refused_as_those_of_no_route_are(taken, store):
    write(store, document("ranker"))
    taken.look()
    foreign = {"decision": token(1, route="nowhere"), "metric": "click", "value": 1}
    results = taken.send(reward(1), foreign, routes=["ranker"])
    assert words(results) == ["refused", "refused"]
    assert results[0]["error"] == results[1]["error"]
    assert "fraud" not in results[0]["error"]
    assert words(taken.send(reward(1), routes=["ranker", "fraud"])) == ["counted"]
    assert words(taken.send(reward(2), routes=[])) == ["refused"]


def test_a_decision_of_an_earlier_life_of_the_route_is_refused(taken, store):
    old = {"decision": token(1, declared_us=LIFE_US - 1), "metric": "click", "value": 1}
    assert words(taken.send(old, reward(1))) == ["refused", "counted"]


def test_a_reward_is_judged_by_the_version_that_made_its_decision(taken, store):
    first = document()
    spec = {"route": "fraud", "arms": {"canary": "fraud:3"}, "split": {"canary": "100%"}}
    metrics = {"click": {"window": "1h", "range": [0, 2]}}
    write(store, apply(first, Declare(parse_spec({**spec, "metrics": metrics}))))
    taken.look()
    old, new = reward(1, value=2), {**reward(2, value=2), "decision": token(2, policy_version=2)}
    results = taken.send(old, new, reward(3))
    assert words(results) == ["refused", "counted", "counted"]
    totals = store.reward_sums("fraud", 0, 1).totals
    found = {(key.policy_version, key.model_version): one.total for key, one in totals.items() if key.metric == "click"}
    assert found == {(2, "3"): 1_000_000, (1, "2"): 1_000_000}


def test_a_version_that_the_store_has_no_more_is_refused_and_asked_for_once_in_a_request(taken, store, monkeypatch):
    asked = []
    read = store.version
    monkeypatch.setattr(store, "version", lambda route, number: asked.append(number) or read(route, number))
    gone = [{**reward(number), "decision": token(number, policy_version=8)} for number in range(50)]
    results = taken.send(*gone)
    assert words(results) == ["refused"] * 50
    assert "no longer has version 8" in results[0]["error"]
    assert asked == [8]


def test_a_route_without_metrics_says_so(taken, store):
    write(store, replace(document("plain", metrics=None), declared_us=LIFE_US))
    taken.look()
    (result,) = taken.send({**reward(1), "decision": token(1, route="plain")})
    assert result["error"] == "Route plain had no metrics at version 1, which made the decision."


def test_a_route_that_was_declared_a_moment_ago_is_known(tmp_path, store):
    taken = Taken(tmp_path / "spool", store)
    assert words(taken.send(reward(2))) == ["counted"]  # the first one that there is
    taken.look()
    write(store, document("new"))
    fresh = {**reward(1), "decision": token(1, route="new")}
    assert words(taken.send(fresh, routes=["fraud"])) == ["refused"]
    assert words(taken.send(fresh, reward(1), routes=["fraud", "new"])) == ["counted", "counted"]
    taken.writer.close()


def test_what_came_is_counted_by_route_metric_and_result(taken):
    taken.send(reward(1), reward(1), reward(2, value=7), {**reward(3), "decision": "no"}, reward(4, "nothing"))
    assert taken.intake.counts.now() == {
        ("fraud", "click", "counted"): 1,
        ("fraud", "click", "duplicate"): 1,
        ("fraud", "click", "refused"): 1,
        ("", "", "refused"): 1,
        ("fraud", "", "refused"): 1,
    }


def test_a_decision_that_was_not_drawn_is_logged_and_in_no_sum(taken, store):
    assert words(taken.send({**reward(1), "decision": token(1, propensity=None)})) == ["counted"]
    assert sums(store) == {}
    assert len(taken.logged()) == 1


def test_a_context_is_one_object_as_long_as_it_is_remembered(taken):
    assert {each.name for each in taken.documents.context(decision()).metrics} == set(METRICS)
    assert taken.documents.context(decision(2)) is taken.documents.context(decision(3))
    assert taken.documents.context(decision(arm="stable")) is not taken.documents.context(decision())
