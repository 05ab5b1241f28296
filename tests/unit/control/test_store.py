"""The specification of a store: what is said in `control.store`, for every kind in `conftest.KINDS`."""

import json
import threading
from dataclasses import replace
from fractions import Fraction

import pytest

from control.errors import Conflict, StoreUnavailable
from control.keys import ApiKey
from control.store import Change, Report, Store
from router.commands import Declare, Shift, apply
from router.document import Document, parse_spec, to_dict
from router.errors import Corrupt

THREADS, INCREMENTS = 8, 25


def declared(route: str = "fraud") -> Document:
    arms = {"stable": "fraud@champion", "canary": "fraud:17"}
    spec = {"route": route, "arms": arms, "split": {"stable": "90%", "canary": "10%"}, "unit": "header:x-user-id"}
    return apply(None, Declare(parse_spec(spec)))


def shifted(document: Document, slots: int) -> Document:
    return apply(document, Shift({"canary": Fraction(slots, 10_000)}))


def change(what: str = "apply") -> Change:
    return Change(who="ada", at_s=1_800_000_000.25, what=what, why="because")


def written(store: Store, versions: int, route: str = "fraud") -> Document:
    """The route at this version."""
    document = declared(route)
    store.compare_and_set(document, change("v1"))
    for version in range(2, versions + 1):
        document = shifted(document, version)
        store.compare_and_set(document, change(f"v{version}"))
    return document


def report(replica: str, **more: object) -> Report:
    return replace(
        Report(
            replica=replica,
            pid=4711,
            at_s=1_800_000_000.5,
            started_s=1_700_000_000.0,
            snapshot_hash="0123456789abcdef",
            routes={"fraud": 3},
            problems={"cancer": "cancer:3: the file was changed…"},
        ),
        **more,
    )


def api_key(key_id: str, **more: object) -> ApiKey:
    return replace(
        ApiKey(
            id=key_id,
            name="checkout",
            digest=bytes(range(224, 256)),
            scopes=("predict", "read"),
            created_at_s=1_800_000_000.5,
            created_by="ada",
            routes=("fraud",),
            rate_per_s=100.0,
            burst=250.0,
            expires_at_s=1_900_000_000.0,
        ),
        **more,
    )


def test_an_empty_store_has_nothing(store):
    assert store.read("fraud") is None
    assert dict(store.documents()) == {}
    assert list(store.history("fraud", 10)) == []
    assert list(store.reports()) == []


def test_a_document_is_read_as_it_was_written_by_every_store(kind, store):
    document = written(store, 3)
    for reader in (store, kind.open()):
        entry = reader.read("fraud")
        assert entry.document == document
        assert entry.change == change("v3")
        assert dict(reader.documents()) == {"fraud": document}


def test_routes_do_not_touch_each_other(store):
    fraud, cancer = written(store, 3, "fraud"), written(store, 2, "cancer")
    assert dict(store.documents()) == {"fraud": fraud, "cancer": cancer}
    assert store.read("cancer").document.version == 2
    assert [entry.document.version for entry in store.history("fraud", 10)] == [3, 2, 1]


@pytest.mark.parametrize("version", [1, 2, 3, 5, 9])
def test_a_document_that_does_not_follow_the_stored_one_is_a_conflict(store, version):
    current = written(store, 3)  # so that only 4 may follow
    revision = store.revision()
    late = replace(shifted(current, 5000), version=version)
    with pytest.raises(Conflict, match=f"Route fraud is at version 3, not {version - 1}") as caught:
        store.compare_and_set(late, change("late"))
    assert caught.value.current == 3
    assert store.read("fraud").document == current
    assert [entry.change.what for entry in store.history("fraud", 10)] == ["v3", "v2", "v1"]
    assert store.revision() == revision


def test_the_first_version_is_one(store):
    with pytest.raises(Conflict, match="Route fraud is at version 0, not 1") as caught:
        store.compare_and_set(replace(declared(), version=2), change())
    assert caught.value.current == 0
    assert store.read("fraud") is None


def test_a_writer_goes_on_after_a_conflict(store):
    current = written(store, 2)
    with pytest.raises(Conflict):
        store.compare_and_set(current, change())
    store.compare_and_set(shifted(current, 77), change("again"))
    assert store.read("fraud").document.version == 3


def test_many_writers_lose_and_double_no_version(kind):
    first = kind.open()
    first.compare_and_set(declared(), change("first"))
    stores = [kind.open() for _ in range(THREADS)]
    barrier = threading.Barrier(THREADS)
    failures: list[BaseException] = []

    def increment(writer: int) -> None:
        store = stores[writer]
        barrier.wait()
        try:
            for number in range(INCREMENTS):
                while not attempt(store, f"{writer}/{number}"):
                    pass
        except BaseException as error:  # noqa: BLE001  # told to the test below
            failures.append(error)

    def attempt(store: Store, what: str) -> bool:
        document = store.read("fraud").document
        canary = document.spec.split["canary"]
        try:
            store.compare_and_set(shifted(document, canary + 1), change(what))
        except Conflict as conflict:
            if conflict.current <= document.version:  # whoever loses has lost to a newer version
                raise
            return False
        return True

    threads = [threading.Thread(target=increment, args=(writer,)) for writer in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    history = first.history("fraud", 1000)
    total = 1 + THREADS * INCREMENTS  # the declaration, and 8 * 25 increments
    assert [entry.document.version for entry in history] == list(range(total, 0, -1))
    everybody = {f"{writer}/{number}" for writer in range(THREADS) for number in range(INCREMENTS)}
    assert sorted(entry.change.what for entry in history) == sorted({"first", *everybody})
    assert history[0].document.spec.split["canary"] == 1000 + THREADS * INCREMENTS


def test_history_is_newest_first_and_no_longer_than_asked(store):
    written(store, 5)
    assert [entry.change.what for entry in store.history("fraud", 3)] == ["v5", "v4", "v3"]
    assert [entry.document.version for entry in store.history("fraud", 100)] == [5, 4, 3, 2, 1]
    assert [entry.document.spec.split["canary"] for entry in store.history("fraud", 4)] == [5, 4, 3, 2]
    assert list(store.history("another", 3)) == []


def test_the_revision_grows_with_every_document_and_only_then(kind, store):
    other = kind.open()
    seen = [store.revision()]
    for route in ("fraud", "cancer"):
        document = declared(route)
        for slots in (1, 2):
            store.compare_and_set(document, change())
            seen.append(other.revision())
            document = shifted(document, slots)
    assert seen == sorted(set(seen))
    store.report(report("one"))
    store.retire("one")
    store.read("fraud")
    assert other.revision() == seen[-1]


def test_a_report_replaces_what_the_same_replica_said(kind, store):
    store.report(report("two"))
    store.report(report("one"))
    store.report(report("two", snapshot_hash="fedcba9876543210", routes={}, problems={}))
    assert list(kind.open().reports()) == [
        report("one"),
        report("two", snapshot_hash="fedcba9876543210", routes={}, problems={}),
    ]


def test_a_retired_replica_is_forgotten(store):
    store.report(report("one"))
    store.report(report("two"))
    store.retire("one")
    store.retire("never-seen")
    assert [one.replica for one in store.reports()] == ["two"]


GOOD = to_dict(declared())


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("", id="nothing"),
        pytest.param("{half", id="half a JSON"),
        pytest.param("null", id="null"),
        pytest.param("[]", id="a list"),
        pytest.param("{}", id="no keys"),
        pytest.param(json.dumps({**GOOD, "slots": {"stable": [[0, 9999]], "canary": [[9999, 1]]}}), id="other slots"),
        pytest.param(json.dumps({**GOOD, "spec": {**GOOD["spec"], "split": {"stable": "97%"}}}), id="a bad spec"),
    ],
)
def test_a_damaged_document_is_corrupt(kind, store, body):
    written(store, 1)
    kind.damage_document(body)
    for read in (store.documents, lambda: store.read("fraud"), lambda: store.history("fraud", 5)):
        with pytest.raises(Corrupt):
            read()


@pytest.mark.parametrize("body", ["", "{half", "null", "{}", '{"who": 5, "at_s": 1, "what": "x"}'])
def test_a_damaged_change_is_corrupt(kind, store, body):
    written(store, 1)
    kind.damage_change(body)
    with pytest.raises(Corrupt):
        store.read("fraud")


@pytest.mark.parametrize("body", ["", "{half", "null", "{}", '{"replica": 5}'])
def test_a_damaged_report_is_left_out_until_its_replica_reports_again(kind, store, body):
    store.report(report("two"))
    kind.damage_report(body)
    store.report(report("one"))
    store.report(report("three"))
    assert list(store.reports()) == [report("one"), report("three")]
    store.report(report("two"))
    assert list(store.reports()) == [report("one"), report("three"), report("two")]


VERBS = {
    "revision": lambda store: store.revision(),
    "routes": lambda store: store.routes(),
    "documents": lambda store: store.documents(),
    "read": lambda store: store.read("fraud"),
    "history": lambda store: store.history("fraud", 5),
    "compare_and_set": lambda store: store.compare_and_set(declared("another"), change()),
    "report": lambda store: store.report(report("one")),
    "retire": lambda store: store.retire("one"),
    "reports": lambda store: store.reports(),
    "keys_revision": lambda store: store.keys_revision(),
    "keys": lambda store: store.keys(),
    "add_key": lambda store: store.add_key(api_key("one")),
    "revoke_key": lambda store: store.revoke_key("one", 1.0),
}


def test_every_verb_of_the_protocol_is_held_to_unavailability():
    assert {*VERBS, "close"} == {name for name in vars(Store) if not name.startswith("_")}


@pytest.mark.parametrize("verb", VERBS)
def test_a_store_whose_data_are_gone_is_unavailable(kind, store, verb):
    written(store, 1)
    kind.take_away()
    with pytest.raises(StoreUnavailable, match="does not answer"):
        VERBS[verb](store)


@pytest.mark.parametrize("verb", VERBS)
def test_a_closed_store_is_unavailable(store, verb):
    store.close()
    with pytest.raises(StoreUnavailable, match="does not answer"):
        VERBS[verb](store)


def test_routes_are_named_in_order_though_a_document_be_damaged(store):
    assert list(store.routes()) == []
    store.compare_and_set(declared("fraud"), change())
    store.compare_and_set(declared("churn"), change())
    assert list(store.routes()) == ["churn", "fraud"]


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
