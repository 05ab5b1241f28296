"""The specification of a store: every method but `await_change` raises `StoreUnavailable` if the store is gone."""

import pytest

from router.document.learned import LearnedPolicy
from store.errors import StoreUnavailable
from store.interface import Store
from tests.support.documents import api_key, declared, entry, report, sum_key, write, written
from tests.support.rewards import decision, rewarded

VERBS = {
    "revision": lambda store: store.revision(),
    "marks": lambda store: store.marks(),
    "routes": lambda store: store.routes(),
    "documents": lambda store: store.documents(),
    "read": lambda store: store.read("fraud"),
    "history": lambda store: store.history("fraud", 5),
    "version": lambda store: store.version("fraud", 1),
    "changes": lambda store: store.changes(0, 5),
    "policies": lambda store: store.policies(0),
    "policy": lambda store: store.policy("fraud"),
    "learn": lambda store: store.learn(LearnedPolicy("fraud", 1, 1, 1, {"a": ((0, 10_000),)}, 0), 0),
    "audited": lambda store: store.audited(),
    "advance_audited": lambda store: store.advance_audited(0, 1),
    "compare_and_set": lambda store: write(store, declared("another")),
    "restore": lambda store: store.restore("before", [entry(declared("another"))], []),
    "count": lambda store: store.count("segment", 0, 10, {"fraud": {sum_key(0): 1}}),
    "count_all": lambda store: store.count_all({"one": (0, 10), "two": (0, 10)}, {"fraud": {sum_key(0): 1}}),
    "count rewards": lambda store: store.count("segment", 0, 10, {}, rewarded(1, b"", b"one")),
    "outcomes": lambda store: store.outcomes([decision(1)]),
    "reward_sums": lambda store: store.reward_sums("fraud", 1, 1),
    "context_sums": lambda store: store.context_sums("fraud", 1, 1),
    "counted": lambda store: store.counted("segment"),
    "counted_each": lambda store: store.counted_each(["segment", "step"]),
    "advance": lambda store: store.advance({"segment": (0, 10), "step": (0, 20)}),
    "counted_since": lambda store: store.counted_since(0),
    "forget_source": lambda store: store.forget_source("segment"),
    "sums": lambda store: store.sums("fraud", 1),
    "group_sums": lambda store: store.group_sums("fraud", 1, 1),
    "recent_sums": lambda store: store.recent_sums("fraud", 1),
    "report": lambda store: store.report(report("one")),
    "beat": lambda store: store.beat("one", ["fraud"]),
    "leave": lambda store: store.leave("one"),
    "retire": lambda store: store.retire("one"),
    "reports": lambda store: store.reports(),
    "keys_revision": lambda store: store.keys_revision(),
    "keys": lambda store: store.keys(),
    "add_key": lambda store: store.add_key(api_key("one")),
    "revoke_key": lambda store: store.revoke_key("one", 1.0),
}


def test_every_verb_of_the_protocol_is_held_to_unavailability():
    verbs = {name.partition(" ")[0] for name in VERBS}
    assert {*verbs, "await_change", "close"} == {name for name in vars(Store) if not name.startswith("_")}


@pytest.mark.parametrize("verb", VERBS)
def test_a_store_whose_data_are_gone_is_unavailable(kind, store, verb):
    written(store, 1)
    kind.take_away()
    with pytest.raises(StoreUnavailable, match="does not answer"):
        VERBS[verb](store)
    store.await_change(0.01)


@pytest.mark.parametrize("verb", VERBS)
def test_a_closed_store_is_unavailable(store, verb):
    store.close()
    with pytest.raises(StoreUnavailable, match="does not answer"):
        VERBS[verb](store)
    store.close()
