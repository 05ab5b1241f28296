"""The specification of a store: learned policies."""

from dataclasses import replace

import pytest

from router.document.learned import LearnedPolicy


def policy(number: int, *, route: str = "shop", life: int = 7, first: int = 5_000) -> LearnedPolicy:
    slots = {"a": ((0, first),), "b": ((first, 10_000 - first),)}
    return LearnedPolicy(route, life, number, 1, slots, 1_000_000 * number, {"state": {"n": [1.5, 2]}})


def test_each_policy_replaces_the_one_that_it_was_learned_from(kind, store):
    assert store.policies(0) == (0, {})
    assert store.learn(policy(1), 0)
    assert store.learn(policy(2, first=6_000), 1)
    assert kind.open().policies(0).of == {"shop": policy(2, first=6_000)}


def test_of_two_learners_one_wins(kind, store):
    assert store.learn(policy(1), 0)
    assert store.learn(policy(2, first=6_000), 1)
    assert not kind.open().learn(policy(2, first=7_000), 1)
    assert store.policies(0).of == {"shop": policy(2, first=6_000)}


def test_what_has_been_written_may_be_written_again(store):
    assert store.learn(policy(1), 0)
    revision = store.policies(0).revision
    assert store.learn(policy(1), 0)
    assert store.policies(0).revision == revision


def test_only_what_is_new_is_returned(store):
    store.learn(policy(1), 0)
    store.learn(policy(1, route="news"), 0)
    read = store.policies(0)
    assert read.of.keys() == {"shop", "news"}
    assert store.policies(read.revision) == (read.revision, {})
    store.learn(policy(2, route="news"), 1)
    assert store.policies(read.revision).of == {"news": policy(2, route="news")}


def test_the_policy_of_one_route_is_read_by_itself(store):
    assert store.policy("shop") is None
    store.learn(policy(1), 0)
    store.learn(policy(1, route="news"), 0)
    store.learn(policy(2), 1)
    assert store.policy("shop") == policy(2)
    assert store.policy("news") == policy(1, route="news")
    assert store.policy("other") is None


def test_another_life_of_a_route_begins_with_none(store):
    store.learn(policy(1), 0)
    store.learn(policy(2), 1)
    assert not store.learn(policy(3, life=8), 2)
    assert store.learn(policy(1, life=8), 0)
    assert store.policies(0).of == {"shop": policy(1, life=8)}


@pytest.mark.parametrize("content", [{}, {"x": 0.1 + 0.2, "y": [1e-300, -0.0, 1e300]}])
def test_content_is_read_back_to_the_bit(store, content):
    written = replace(policy(1), content=content)
    store.learn(written, 0)
    assert repr(store.policies(0).of["shop"].content) == repr(content)
