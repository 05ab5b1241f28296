"""The specification of a store: the machines that evaluate routes, and the marks by which changes are noticed."""

from router.document.learned import LearnedPolicy
from store.machines import SILENT_S
from store.revision import Marks
from tests.support.documents import api_key, declared, write
from tests.support.polling import wait_until


def test_the_machines_that_have_said_that_they_run_are_known_with_what_they_decline(kind, store):
    assert store.beat("one") == {"one": frozenset()}
    assert kind.open().beat("naïve machine", ["fraud", "a b"]) == {"one": set(), "naïve machine": {"fraud", "a b"}}
    assert store.beat("one") == {"one": set(), "naïve machine": {"fraud", "a b"}}
    assert store.beat("naïve machine") == {"one": set(), "naïve machine": set()}


def test_a_machine_that_leaves_is_forgotten_at_once(store):
    store.beat("one", ["fraud"])
    store.leave("one")
    store.leave("never seen")
    assert store.beat("two") == {"two": frozenset()}


def test_a_machine_that_is_silent_is_forgotten_after_a_while(store):
    store.beat("silent", ["fraud"])
    assert wait_until(lambda: store.beat("one") == {"one": frozenset()}, within_s=10 * SILENT_S)


def test_marks_tell_what_was_written(store):
    assert store.marks() == Marks(store.revision(), 0, 0, 0)
    write(store, declared())
    write(store, declared("other"))
    store.add_key(api_key("one"))
    store.learn(LearnedPolicy("fraud", 1, 1, 1, {"a": ((0, 10_000),)}, 0), 0)
    store.advance_audited(0, 1)
    revision, keys, policies, audited = store.marks()
    assert (revision, keys, policies, audited) == (store.revision(), store.keys_revision(), 1, store.audited())
    assert (revision.number, keys, audited) == (2, 1, 1)
