"""Where guardrails compare the rewards of a bandit, the weights of a decision come with its rewards."""

import json

import pytest

from gateway.companion.rewards.messages import Asked, Outcome
from inference_log.request_slots import packer
from router.spec.weighing import Weighing
from store.sqlite.store import SQLiteStore
from tests.unit.gateway.companion.rewards.support import NOON_US, Taken, document, reward, sums, token, words, write

BANDIT = {
    "split": None,
    "fallback": "stable",
    "bandit": {"policy": "thompson", "reward": "click"},
    "guardrails": [{"reward": {"metric": "click", "worse_by": "1%"}}],
}
SLOTS = packer(2)((9_000, 1_000))
WEIGHED = {("canary", "click"): (1, 1_000_000, 1_000_000), ("canary", "click*stable"): (0, 900_000, 900_000)}


@pytest.fixture
def taken(tmp_path):
    store = SQLiteStore(tmp_path / "store.db", now=lambda: NOON_US / 1_000_000)
    write(store, document(**BANDIT))
    made = Taken(tmp_path / "spool", store)
    made.look()
    yield made
    made.writer.close()
    store.close()


def test_the_token_brings_them(taken):
    assert words(taken.send({**reward(), "decision": token(slots=SLOTS)})) == ["counted"]
    (logged,) = taken.logged()
    assert logged.slots == SLOTS
    assert sums(taken.store) == WEIGHED


def test_an_import_says_what_the_log_says(taken):
    decision = {
        "decision_id": "d", "policy_version": 1, "arm": "canary", "propensity": 0.1, "decided_us": NOON_US,
        "latency_us": 2000, "group": -1, "weights": {"canary": 0.1, "stable": 0.9},
    }  # fmt: skip
    body = {"source": "import orders.csv", "rewards": [{"decision": decision, "metric": "click", "value": 1}]}
    answered = taken.intake.answer(Asked("import", ("fraud",), json.dumps(body).encode()))
    assert answered.outcome is Outcome.RESULTS
    (logged,) = taken.logged()
    assert logged.slots == SLOTS
    assert sums(taken.store) == WEIGHED


def test_a_decision_without_weights_counts_in_no_comparison(taken):
    assert words(taken.send(reward())) == ["counted"]
    assert sums(taken.store) == {("canary", "click"): (1, 1_000_000, 1_000_000)}


def test_a_split_compares_by_the_weights_of_its_versions():
    assert document().spec.weighing is None
    assert document(**BANDIT).spec.weighing == Weighing(("stable", "canary"), "stable", ("click",))
