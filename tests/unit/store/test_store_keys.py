"""The specification of a store: API keys."""

import threading

import pytest

from store.api_key import ApiKey
from tests.support.documents import api_key, report, written

THREADS = 8


def test_a_key_is_read_as_it_was_added_by_every_store(kind, store):
    bounded, unbounded = api_key("one"), api_key("two", routes=None, rate_per_s=None, expires_at_s=None)
    assert store.add_key(bounded)
    assert store.add_key(unbounded)
    assert list(store.keys()) == list(kind.open().keys()) == [bounded, unbounded]


def test_a_limit_to_no_route_is_not_read_back_as_no_limit(store):
    store.add_key(api_key("one", routes=()))
    assert store.keys()[0].routes == ()


def test_keys_are_listed_oldest_first(store):
    for key_id, created_at_s in (("b", 2.0), ("c", 1.0), ("a", 2.0)):
        store.add_key(api_key(key_id, created_at_s=created_at_s))
    store.revoke_key("c", 3.0)
    listed = store.keys()
    assert [key.id for key in listed] == ["c", "a", "b"]


def test_a_key_does_not_replace_another_of_the_same_id(store):
    first = api_key("one")
    store.add_key(first)
    revision = store.keys_revision()
    assert not store.add_key(api_key("one", digest=bytes(32), scopes=("operate",)))
    assert list(store.keys()) == [first]
    assert store.keys_revision() == revision


def test_a_revoked_key_stays_revoked_since_the_first_time(kind, store):
    store.add_key(api_key("one"))
    store.add_key(api_key("two"))
    revoked = api_key("one", revoked_at_s=5.0)
    assert store.revoke_key("one", 5.0) == revoked
    revision = store.keys_revision()
    assert kind.open().revoke_key("one", 6.0) == revoked
    assert not store.add_key(api_key("one"))
    assert list(store.keys()) == [revoked, api_key("two")]
    assert store.keys_revision() == revision


def test_a_key_that_is_not_there_cannot_be_revoked(store):
    assert store.revoke_key("nobody", 5.0) is None
    assert (list(store.keys()), store.keys_revision()) == ([], 0)


def test_the_keys_revision_grows_with_every_change_of_a_key_and_only_then(kind, store):
    other = kind.open()
    seen = [other.keys_revision()]
    for change_keys in (
        lambda: store.add_key(api_key("one")),
        lambda: store.add_key(api_key("two")),
        lambda: store.revoke_key("one", 5.0),
        lambda: store.revoke_key("two", 5.0),
    ):
        change_keys()
        seen.append(other.keys_revision())
    assert seen == sorted(set(seen))
    written(store, 2)
    store.report(report("one"))
    assert other.keys_revision() == seen[-1]


def test_a_key_does_not_touch_the_revision_of_the_documents(store):
    written(store, 1)
    revision = store.revision()
    store.add_key(api_key("one"))
    store.revoke_key("one", 5.0)
    assert store.revision() == revision


@pytest.mark.parametrize("body", ["", "{half", "null", "{}", '{"id": 5}', '{"id": "two", "digest": "no base64!"}'])
def test_a_damaged_key_is_left_out_and_the_others_stay(kind, store, body):
    for key_id in ("one", "two", "three"):
        store.add_key(api_key(key_id))
    kind.damage_key("two", body)
    left = store.keys()
    assert sorted(key.id for key in left) == ["one", "three"]
    assert store.revoke_key("two", 5.0) is None


def test_of_many_that_revoke_one_key_all_agree_when(kind):
    kind.open().add_key(api_key("one"))
    answers: list[ApiKey | None] = []

    def revoke(at_s: float) -> None:
        answers.append(kind.open().revoke_key("one", at_s))

    threads = [threading.Thread(target=revoke, args=(float(number),)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == THREADS
    assert {answer.revoked_at_s for answer in answers} == {kind.open().keys()[0].revoked_at_s}
