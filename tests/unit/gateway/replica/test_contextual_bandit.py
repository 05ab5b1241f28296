"""A bandit whose weights depend on the request, over real sockets: it learns which arm is best for whom."""

import random

import pytest

from bandits.linear.context import SCALE
from bandits.linear.history import History, Seen, advanced, levelled, models, to_json
from bandits.linear.policy_weights import PolicyWeights
from bandits.linear.sums import MILLION, combine, exposure
from gateway.execution.breaker import Breaker
from gateway.inference.contexts import encoder_of
from router.document.document import Document
from router.document.learned import LearnedPolicy
from router.draw.assignment import BUCKETS
from runtimes.errors import ModelFailed
from store.interface import Store
from store.open import open_store
from tests.support.polling import wait_until

ROUTE = {
    "route": "shown",
    "arms": {"a": "linear:1", "b": "linear:2"},
    "metrics": {"click": {"window": "6s"}},
    "bandit": {
        "policy": {"linear-thompson": {"v": 0.3}},
        "reward": "click",
        "floor": "5%",
        "burn_in": 20,
        "context": {"headers.x-device": ["phone", "desktop"], "parameters.age": {"from": 0, "to": 100}},
    },
}
BEST = {"phone": "a", "desktop": "b"}


@pytest.fixture
def shown(settings_of, serving, declare, tmp_path):
    settings = settings_of(tmp_path)
    store = open_store(settings.store)
    declare(store, ROUTE)
    with serving(settings) as gateway:
        wait_until(lambda: gateway.infer("shown").status_code == 200)
        yield gateway, store
    store.close()


def served(gateway, device: str, age: int):
    return gateway.infer("shown", headers={"x-device": device}, parameters={"age": age})


def test_each_device_gets_the_arm_that_is_best_for_it_with_exact_propensities(shown):
    gateway, store = shown
    draw = random.Random(11)  # noqa: S311  # a simulation

    def ask_and_reward() -> bool:
        rewards = []
        for device in ("phone", "desktop") * 10:
            answer = served(gateway, device, draw.randint(0, 100))
            is_clicked = draw.random() < (0.8 if answer.headers["x-arm"] == BEST[device] else 0.1)
            decision = answer.headers["x-decision-token"]
            rewards.append({"decision": decision, "metric": "click", "value": float(is_clicked), "event": "1"})
        # The companion may still be starting. Rewards that are sent again count once.
        wait_until(lambda: gateway.http.post("/v2/rewards", json={"rewards": rewards}).status_code == 202)
        known = store.policies(0).of.get("shown")
        return known is not None and known.content["models"] is not None

    wait_until(ask_and_reward)
    policies: dict[int, LearnedPolicy] = {}
    answers = []
    wait_until(lambda: gateway.replica._holder.current.routes["shown"].route.policy_number in note(policies, store))
    for device in ("phone", "desktop") * 30:
        answers.append((device, served(gateway, device, 50)))
        note(policies, store)
    for device, arm in BEST.items():
        assert sum(answer.headers["x-arm"] == arm for of, answer in answers if of == device) > 18
    columns = "decision_id, arm, propensity, policy_number, context, policy_kind"
    decisions = {answer.headers["x-decision-id"] for _, answer in answers}
    rows = [row for row in gateway.found("route = 'shown'", columns) if row["decision_id"] in decisions]
    assert len(rows) == len(answers)
    assert {row["policy_kind"] for row in rows} == {"bandit"}
    known = [row for row in rows if row["policy_number"] in policies]
    assert len(known) > 30
    for row in known:
        vector = (SCALE, *(round(SCALE * feature) for feature in row["context"]))
        slots = PolicyWeights(policies[row["policy_number"]].content, len(vector)).slots(vector)
        assert row["propensity"] == slots[list(ROUTE["arms"]).index(row["arm"])] / BUCKETS


def note(policies: dict[int, LearnedPolicy], store: Store) -> dict[int, LearnedPolicy]:
    """Add the newest policy with models to those that are known, by number."""
    newest = store.policies(0).of["shown"]
    if newest.content["models"] is not None:
        policies[newest.number] = newest
    return policies


def test_what_a_caller_sends_is_never_an_error_and_several_instances_are_fine_without_inputs(shown):
    gateway, _ = shown
    for headers, parameters in (
        ({}, {}),
        ({"x-device": b"\xff"}, {"age": "old"}),
        ({"x-device": "tv"}, {"age": -1e300}),
    ):
        answer = gateway.infer("shown", [1, 2, 3, 4], [1, 2, 3, 4], headers=headers, parameters=parameters)
        assert answer.status_code == 200
        assert {tuple(row["context"]) for row in gateway.rows(answer, "context")} != {()}


def test_a_context_of_inputs_asks_for_one_instance(shown, declare):
    gateway, store = shown
    bandit = ROUTE["bandit"] | {"context": {"inputs.X.2": {"from": 0, "to": 10}}}
    declare(store, ROUTE | {"route": "single", "bandit": bandit})
    wait_until(lambda: gateway.infer("single").status_code == 200)
    answer = gateway.infer("single", [1, 2, 3, 4], [1, 2, 3, 4])
    assert answer.status_code == 400
    assert "a request is one instance; this one has 2" in answer.json()["error"]
    (row,) = gateway.rows(gateway.infer("single", [1, 2, 5, 4]), "context")
    assert row["context"] == [0.5, 0.0]


GUARDED = {
    "route": "watched",
    "arms": {"a": "linear:1", "b": "linear:2", "c": "linear:1"},
    "metrics": {"click": {"window": "10m"}},
    "bandit": {
        "policy": "linear-epsilon-greedy",
        "reward": "click",
        "from": {"a": "40%", "b": "40%", "c": "20%"},
        "context": {"headers.x-device": ["phone", "desktop"]},
    },
    "fallback": "a",
    "guardrails": [{"errors": {"worse_by": "1%"}}],
}
BY_DEVICE = {"phone": {"a": 0.2, "b": 0.7, "c": 0.1}, "desktop": {"a": 0.7, "b": 0.2, "c": 0.1}}
"""The weights under a policy to which arm b looks best on phones, and arm a elsewhere."""


def learned(document: Document) -> LearnedPolicy:
    """Return that policy."""
    bandit, state = document.spec.bandit, document.learning
    assert bandit is not None
    assert state is not None
    encoder = encoder_of(bandit.context)
    size = len(encoder.features)
    sums = []
    for best in ("desktop", "phone", ""):
        parts = [exposure(encoder.encode([device]), MILLION * (device == best)) for device in BY_DEVICE]
        sums.append(combine(parts * 50, size))
    known = levelled(History.empty("abc", size), [Seen(0, tuple(sums))], None)
    content = {
        "policy": bandit.policy,
        "parameters": {"epsilon": 0.0},
        "bounds": [[2_000, 2_000, 1_000], [BUCKETS] * 3, BUCKETS, 0],
        "models": [[list(m.theta), m.theta_bits, list(m.factor), m.factor_bits] for m in models(known)],
        "newest_s": 0,
        "base": to_json(advanced(known, 0)),
    }
    return LearnedPolicy("watched", document.declared_us, 1, state.since_version, document.slots, 1, content)


def test_a_bad_arm_loses_its_traffic_and_the_others_share_it_whatever_requests_it_got(gateway, declare, monkeypatch):
    """The weights in the log are those of each request, by which its arm was drawn."""
    store, holder = gateway.replica._store, gateway.replica._holder
    declare(store, GUARDED)
    wait_until(lambda: "watched" in holder.current.routes)
    first = gateway.infer("watched", headers={"x-device": "phone"})
    assert store.learn(learned(store.read("watched").document), 0)
    wait_until(lambda: holder.current.routes["watched"].route.policy_number == 1)
    lane = holder.current.routes["watched"].arms[1].lane

    def fail(inputs, outputs):
        raise ModelFailed("no")

    monkeypatch.setattr(lane.executor._runtime, "run", fail)
    monkeypatch.setattr(lane, "breaker", Breaker())
    sent = {first.headers["x-decision-id"]: {"a": 0.4, "b": 0.4, "c": 0.2}}
    for device, weights in list(BY_DEVICE.items()) * 60:
        answer = gateway.infer("watched", headers={"x-device": device})
        assert answer.status_code == 200  # the fallback answers
        if holder.current.routes["watched"].route.arms[1].slots:  # it is not aborted yet
            sent[answer.headers["x-decision-id"]] = weights
    wait_until(lambda: holder.current.routes["watched"].route.arms[1].slots == 0)
    entry = store.read("watched")
    assert (entry.change.who, entry.change.what) == ("pointsman", "abort b: errors")
    assert entry.document.weights == {"a": 6_667, "b": 0, "c": 3_333}
    for device in list(BY_DEVICE) * 20:
        answer = gateway.infer("watched", headers={"x-device": device})
        sent[answer.headers["x-decision-id"]] = {"a": 0.6667, "b": 0.0, "c": 0.3333}
    columns = "decision_id, arm, propensity, weights, reason"
    rows = gateway.found("route = 'watched' AND role = 'primary'", columns)
    assert len(rows) == 161
    for row in rows:
        assert sum(row["weights"].values()) == pytest.approx(1, abs=1e-12)
        assert row["propensity"] == row["weights"][row["arm"]]
    logged = {row["decision_id"]: row["weights"] for row in rows}
    assert {decision: logged[decision] for decision in sent} == sent
    expected = {arm: sum(row["weights"][arm] for row in rows) for arm in GUARDED["arms"]}

    def is_counted() -> bool:
        """Return True if the status has counted all requests as they were drawn."""
        (route,) = [each for each in gateway.http.get("/api/status").json()["routes"] if each["route"] == "watched"]
        assert next(each["state"] for each in route["guardrails"] if each["arm"] == "b") == "UNHEALTHY"
        assert route["sample_ratio"]["state"] == "AS_EXPECTED"
        return route["sample_ratio"]["expected"] == pytest.approx(expected, abs=0.1)

    wait_until(is_counted)
