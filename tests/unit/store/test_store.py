"""The specification of a store: documents, their history, and their changes, for every kind in `conftest.KINDS`."""

import json
import threading
from dataclasses import replace

import pytest

from router.document.stored import to_dict
from router.errors import Corrupt
from store.entry import NumberedEntry
from store.errors import Conflict, Foreign, Moved
from store.interface import Store
from store.revision import Revision
from tests.support.documents import api_key, change, declared, entry, report, shifted, sum_key, write, written

THREADS, INCREMENTS = 8, 25


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
    current = written(store, 3)  # only version 4 may follow
    revision = store.revision()
    late = replace(shifted(current, 5000), version=version)
    with pytest.raises(Conflict, match=f"Route fraud is at version 3, not {version - 1}") as caught:
        write(store, late, "late")
    assert caught.value.current == 3
    assert store.read("fraud").document == current
    assert [entry.change.what for entry in store.history("fraud", 10)] == ["v3", "v2", "v1"]
    assert store.revision() == revision


def test_the_first_version_is_one(store):
    with pytest.raises(Conflict, match="Route fraud is at version 0, not 1") as caught:
        write(store, replace(declared(), version=2))
    assert caught.value.current == 0
    assert store.read("fraud") is None


def test_a_writer_goes_on_after_a_conflict(store):
    current = written(store, 2)
    with pytest.raises(Conflict):
        write(store, current)
    write(store, shifted(current, 77), "again")
    assert store.read("fraud").document.version == 3


def test_many_writers_lose_and_double_no_version(kind):
    first = kind.open()
    write(first, declared(), "first")
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
        except BaseException as error:  # noqa: BLE001  # asserted below
            failures.append(error)

    def attempt(store: Store, what: str) -> bool:
        document = store.read("fraud").document
        canary = document.spec.split["canary"]
        try:
            write(store, shifted(document, canary + 1), what)
        except Conflict as conflict:
            if conflict.current <= document.version:  # a conflict is only correct if there is a newer version
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
    increments = {f"{writer}/{number}" for writer in range(THREADS) for number in range(INCREMENTS)}
    assert sorted(entry.change.what for entry in history) == sorted({"first", *increments})
    assert history[0].document.spec.split["canary"] == 1000 + THREADS * INCREMENTS


def test_history_is_newest_first_and_no_longer_than_asked(store):
    written(store, 5)
    assert [entry.change.what for entry in store.history("fraud", 3)] == ["v5", "v4", "v3"]
    assert [entry.document.version for entry in store.history("fraud", 100)] == [5, 4, 3, 2, 1]
    assert [entry.document.spec.split["canary"] for entry in store.history("fraud", 4)] == [5, 4, 3, 2]
    assert list(store.history("another", 3)) == []


def test_the_revision_grows_by_one_with_every_document_and_only_then(kind, store):
    other = kind.open()
    assert other.revision() == Revision("", 0)
    write(store, declared("fraud"))
    identity, number = other.revision()
    assert number == 1
    assert identity
    write(store, shifted(declared("fraud"), 1))
    store.compare_and_set([entry(declared("cancer")), entry(declared("churn"))])
    with pytest.raises(Conflict):
        write(store, declared("churn"))
    assert other.revision() == store.revision() == Revision(identity, 4)
    store.report(report("one"))
    store.retire("one")
    store.add_key(api_key("one"))
    store.count("segment", 0, 10, {"fraud": {sum_key(1_800_000_000): 1}})
    assert store.advance_audited(0, 3)
    store.read("fraud")
    assert other.revision() == Revision(identity, 4)


def test_several_documents_are_written_together(kind, store):
    fraud = written(store, 2, "fraud")
    store.compare_and_set([entry(shifted(fraud, 77), "both"), entry(declared("cancer"), "both")])
    assert dict(kind.open().documents()) == {"fraud": shifted(fraud, 77), "cancer": declared("cancer")}
    assert [each.entry.change.what for each in store.changes(0, 10)] == ["v1", "v2", "both", "both"]


@pytest.mark.parametrize("stale", [0, 1, 2])
def test_several_documents_are_written_all_or_none(store, stale):
    routes = ["fraud", "cancer", "churn"]
    current = {route: written(store, 2, route) for route in routes}
    entries = [entry(shifted(current[route], 77), "all") for route in routes]
    entries[stale] = entry(current[routes[stale]], "all")
    revision = store.revision()
    with pytest.raises(Conflict, match=f"Route {routes[stale]} is at version 2, not 1"):
        store.compare_and_set(entries)
    assert dict(store.documents()) == current
    assert store.revision() == revision
    assert len(store.changes(0, 100)) == 6


def test_two_versions_of_one_route_may_be_written_together(store):
    first = declared()
    store.compare_and_set([entry(first, "v1"), entry(shifted(first, 2), "v2")])
    assert [each.change.what for each in store.history("fraud", 5)] == ["v2", "v1"]
    with pytest.raises(Conflict, match="Route fraud is at version 3, not 2"):
        store.compare_and_set([entry(replace(first, version=3)), entry(replace(first, version=3))])
    assert store.read("fraud").document.version == 2


def test_writing_nothing_changes_nothing(store):
    store.compare_and_set([])
    assert store.revision() == Revision("", 0)
    written(store, 1)
    store.compare_and_set([], at=1)
    with pytest.raises(Moved):
        store.compare_and_set([], at=2)
    assert store.revision().number == 1


def test_a_write_may_ask_that_no_route_has_changed(store):
    current = written(store, 2, "fraud")
    at = store.revision().number
    written(store, 1, "cancer")
    with pytest.raises(Moved, match="The store is at change 3, not 2") as caught:
        store.compare_and_set([entry(shifted(current, 77))], at=at)
    assert isinstance(caught.value, Conflict)
    assert caught.value.current == 3
    assert store.read("fraud").document == current
    store.compare_and_set([entry(shifted(current, 77))], at=3)
    assert store.read("fraud").document == shifted(current, 77)


def test_the_first_write_of_all_may_ask_for_an_empty_store(store):
    store.compare_and_set([entry(declared("fraud"))], at=0)
    with pytest.raises(Moved):
        store.compare_and_set([entry(declared("cancer"))], at=0)
    assert list(store.routes()) == ["fraud"]


def test_an_attempt_that_is_repeated_is_made_once(kind, store):
    attempt = [entry(declared("fraud"), id="a1"), entry(declared("cancer"), id="a1")]
    store.compare_and_set(attempt, at=0)
    revision = store.revision()
    kind.open().compare_and_set(attempt, at=0)
    write(store, shifted(declared("fraud"), 77), id="a2")
    store.compare_and_set(attempt, at=0)  # no error: it was written, though there was another write since
    assert store.revision() == Revision(revision.identity, 3)
    assert [each.change.id for each in store.history("fraud", 5)] == ["a2", "a1"]


@pytest.mark.parametrize("again", ["", "a2"])
def test_another_attempt_at_the_same_version_is_a_conflict(store, again):
    write(store, declared(), id="" if not again else "a1")
    with pytest.raises(Conflict):
        write(store, declared(), id=again)
    assert store.revision().number == 1


def test_an_attempt_of_which_a_part_is_new_is_a_conflict(store):
    write(store, declared("fraud"), id="a1")
    with pytest.raises(Conflict, match="Route fraud is at version 1, not 0"):
        store.compare_and_set([entry(declared("cancer"), id="a1"), entry(declared("fraud"), id="a1")])
    assert list(store.routes()) == ["fraud"]


def test_one_version_can_be_read(store):
    written(store, 3)
    assert store.version("fraud", 2) == entry(replace(shifted(declared(), 2), version=2), "v2")
    assert store.version("fraud", 3) == store.read("fraud")
    assert store.version("fraud", 4) is None
    assert store.version("fraud", 0) is None
    assert store.version("another", 1) is None


def test_changes_are_numbered_over_all_routes_oldest_first(kind, store):
    fraud = written(store, 2, "fraud")
    written(store, 1, "cancer")
    write(store, shifted(fraud, 77), "last")
    changes = kind.open().changes(0, 10)
    assert [number for number, _ in changes] == [1, 2, 3, 4]
    assert [(each.entry.document.spec.route, each.entry.change.what) for each in changes] == [
        ("fraud", "v1"),
        ("fraud", "v2"),
        ("cancer", "v1"),
        ("fraud", "last"),
    ]
    assert store.changes(2, 1) == [NumberedEntry(3, entry(declared("cancer"), "v1"))]
    assert list(store.changes(4, 10)) == []
    assert list(store.changes(0, 0)) == []


def test_a_change_that_cannot_be_read_back_is_left_out(kind, store):
    written(store, 2)
    kind.damage_document("{half")
    written(store, 2, "cancer")
    assert [each.number for each in store.changes(0, 1)] == [3]
    assert [each.number for each in store.changes(0, 10)] == [3, 4]


def test_what_is_in_the_log_is_remembered_and_one_of_several_advances_it(kind, store):
    assert store.audited() == 0
    written(store, 3)
    assert store.advance_audited(0, 2)
    assert not kind.open().advance_audited(0, 3)
    assert store.audited() == kind.open().audited() == 2
    assert store.advance_audited(2, 3)
    assert store.audited() == 3


def test_a_change_of_a_store_from_before_there_were_ids_is_read_back(kind, store):
    written(store, 1)
    kind.damage_change('{"who": "ada", "at_s": 1.5, "what": "apply"}')
    assert store.read("fraud").change == change("apply", at_s=1.5, why="", id="", by="")


def test_a_store_that_has_lost_everything_gets_back_what_a_replica_knows(kind, store):
    fraud = entry(replace(declared("fraud"), version=7), "v7", id="a7")
    cancer = entry(declared("cancer"), "v1")
    assert list(store.restore("before", [fraud, cancer], [api_key("one")])) == ["fraud", "cancer"]
    other = kind.open()
    assert other.revision() == Revision("before", 2)
    assert dict(other.documents()) == {"fraud": fraud.document, "cancer": cancer.document}
    assert list(other.keys()) == [api_key("one")]
    assert other.keys_revision() > 0
    assert list(other.history("fraud", 10)) == [fraud]
    assert [each.number for each in other.changes(0, 10)] == [1, 2]


def test_history_is_dense_from_the_version_that_was_restored(store):
    document = replace(declared(), version=7)
    store.restore("before", [entry(document)], [])
    with pytest.raises(Conflict, match="Route fraud is at version 7, not 1"):
        write(store, replace(document, version=2))
    write(store, shifted(document, 77))
    write(store, shifted(shifted(document, 77), 78))
    assert [each.document.version for each in store.history("fraud", 10)] == [9, 8, 7]
    assert store.version("fraud", 6) is None
    assert store.revision() == Revision("before", 3)


def test_what_the_store_has_is_not_replaced_by_what_is_as_old_or_older(store):
    fraud, cancer = written(store, 3, "fraud"), written(store, 1, "cancer")
    store.add_key(api_key("one"))
    revision = store.revision()
    old = entry(replace(declared("fraud"), version=2), "old")
    same = entry(replace(shifted(declared("fraud"), 4000), version=3), "same")
    newer = entry(replace(declared("cancer"), version=5), "newer")
    given = [old, same, newer, entry(declared("churn"))]
    assert list(store.restore(revision.identity, given, [api_key("one", name="other")])) == ["cancer", "churn"]
    assert store.read("fraud").document == fraud
    assert [each.document.version for each in store.history("cancer", 10)] == [5, cancer.version]
    assert list(store.keys()) == [api_key("one")]
    assert list(store.restore(revision.identity, given, [])) == []
    assert store.revision() == Revision(revision.identity, revision.number + 2)


def test_a_store_with_documents_of_its_own_keeps_them(store):
    document = written(store, 1)
    revision = store.revision()
    with pytest.raises(Foreign, match="The store has routes of its own"):
        store.restore("another", [entry(replace(declared("churn"), version=4))], [api_key("one")])
    assert store.revision() == revision
    assert dict(store.documents()) == {"fraud": document}
    assert list(store.keys()) == []


def test_a_store_that_has_lost_everything_may_have_a_new_key_by_then(store):
    store.add_key(api_key("new"))
    assert list(store.restore("before", [entry(declared())], [api_key("old")])) == ["fraud"]
    assert store.revision() == Revision("before", 1)
    listed = store.keys()
    assert sorted(key.id for key in listed) == ["new", "old"]


def test_an_identity_is_put_back_though_there_be_no_document(store):
    assert list(store.restore("before", [], [])) == []
    assert store.revision() == Revision("before", 0)
    written(store, 1)
    assert store.revision() == Revision("before", 1)


def test_routes_are_named_in_order_though_a_document_be_damaged(store):
    assert list(store.routes()) == []
    write(store, declared("fraud"))
    write(store, declared("churn"))
    assert list(store.routes()) == ["churn", "fraud"]


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
