"""The specification of a store: reports of replicas, and waiting for a change."""

import threading
import time

import pytest

from tests.support.documents import api_key, declared, report, write
from tests.support.polling import PATIENCE_S


def test_a_report_replaces_what_the_same_replica_said(kind, store):
    store.report(report("two"))
    store.report(report("one"))
    store.report(report("two", snapshot_hash="fedcba9876543210", routes={}, problems={}))
    assert list(kind.open().reports()) == [
        report("one"),
        report("two", snapshot_hash="fedcba9876543210", routes={}, problems={}),
    ]


def test_what_a_report_says_stays_while_only_its_time_is_new(kind, store):
    for at_s in (1.5, 2.5, 3.5):
        store.report(report("one", at_s=at_s))
        assert list(kind.open().reports()) == [report("one", at_s=at_s)]
    store.retire("one")
    store.report(report("one", at_s=4.5))
    assert list(store.reports()) == [report("one", at_s=4.5)]


def test_a_retired_replica_is_forgotten(store):
    store.report(report("one"))
    store.report(report("two"))
    store.retire("one")
    store.retire("never-seen")
    assert [one.replica for one in store.reports()] == ["two"]


@pytest.mark.parametrize("body", ["", "{half", "null", "{}", '{"replica": 5}'])
def test_a_damaged_report_is_left_out_until_its_replica_reports_again(kind, store, body):
    store.report(report("two"))
    kind.damage_report(body)
    store.report(report("one"))
    store.report(report("three"))
    assert list(store.reports()) == [report("one"), report("three")]
    store.report(report("two"))
    assert list(store.reports()) == [report("one"), report("three"), report("two")]


def test_waiting_for_a_change_ends_with_its_time(store):
    started_s = time.monotonic()
    store.await_change(0.05)  # a store with notifications may end the first wait at once
    store.await_change(0.05)
    assert 0.04 <= time.monotonic() - started_s < PATIENCE_S


def test_waiting_ends_when_the_store_is_closed(store):
    store.await_change(0.01)
    waiting = threading.Thread(target=store.await_change, args=(PATIENCE_S,))
    waiting.start()
    store.close()
    waiting.join(PATIENCE_S / 2)
    assert not waiting.is_alive()
    store.await_change(0.0)


def test_a_waiting_thread_is_notified_of_documents_and_keys_where_the_store_can(kind, store):
    if not kind.notifies:
        pytest.skip("a file sends no notification of a change")
    store.await_change(0.01)
    other = kind.open()
    for change_something in (lambda: write(other, declared()), lambda: other.add_key(api_key("one"))):
        change_something()  # the store is not waiting yet, but it must not miss the change
        started_s = time.monotonic()
        store.await_change(PATIENCE_S)
        assert time.monotonic() - started_s < PATIENCE_S / 2


def test_a_report_is_no_change(kind, store):
    store.await_change(0.01)
    kind.open().report(report("one"))
    started_s = time.monotonic()
    store.await_change(0.1)
    assert time.monotonic() - started_s >= 0.09
