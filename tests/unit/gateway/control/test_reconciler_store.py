"""While the store is away or has lost data, a replica serves what it knows; it reports what it serves."""

import threading
import time

import pytest
from structlog.testing import capture_logs

from store.api_key import ApiKey
from store.errors import StoreUnavailable
from tests.support.polling import wait_until
from tests.unit.gateway.control.support_reconciler import DAMAGED, ONE, TWO, Bench


def test_a_store_that_is_gone_keeps_the_snapshot(bench, declare):
    declare(bench.store, ONE)
    live, store_contact_s = bench.tick(), bench.reconciler.store_contact_s
    bench.store.close()
    assert bench.tick() is live
    assert bench.tick(after_s=60) is live
    assert bench.reconciler.store_contact_s == store_contact_s


def test_heard_is_a_moment_ago(bench):
    bench.tick()
    assert 0 <= time.monotonic() - bench.reconciler.store_contact_s < 5


def key(key_id: str) -> ApiKey:
    return ApiKey(key_id, "checkout", bytes(32), ("predict",), 1.5, "ada")


def test_a_store_that_has_lost_its_routes_changes_nothing_and_that_is_said_once(bench, declare):
    declare(bench.store, ONE)
    live = bench.tick()
    bench.store.lose()
    with capture_logs() as lines:
        assert [bench.tick(after_s=60) for _ in range(3)] == [live] * 3
    assert [line["event"] for line in lines] == ["gateway.refresh.store_failed"]
    assert bench.store.reports()[0].trouble.startswith("The store has lost its routes.")
    bench.desired.restore()
    with capture_logs() as lines:
        bench.tick()
    assert lines[0]["event"] == "gateway.refresh.store_answers"
    assert bench.tick(after_s=60).routes["r"].route == live.routes["r"].route
    assert bench.store.reports()[0].trouble == ""


def test_a_store_that_tells_of_changes_is_asked_when_it_tells_and_once_a_second(bench, declare):
    bench.tick()
    declare(bench.store, ONE)
    bench.reconciler.tick(bench.now_s, told=True)
    bench.store.asked.clear()
    for _ in range(5):
        bench.tick(after_s=0.1)
    assert "marks" not in bench.store.asked
    bench.tick(after_s=0.6)
    assert bench.store.asked.count("marks") == 1
    declare(bench.store, TWO)
    assert bench.tick(after_s=0.1).routes["r"].route.document_version == 1
    bench.reconciler.tick(bench.now_s, told=True)
    assert bench.holder.current.routes["r"].route.document_version == 2


def test_a_store_that_is_away_is_complained_of_once(bench, declare):
    declare(bench.store, ONE)
    live = bench.tick()
    bench.store.is_away = True
    with capture_logs() as lines:
        assert [bench.tick(after_s=60) for _ in range(3)] == [live] * 3
    assert [(line["event"], line["error"]) for line in lines] == [
        ("gateway.refresh.store_failed", "The store does not answer.")
    ]
    assert bench.reconciler.report().trouble == "The store does not answer."
    bench.store.is_away = False
    bench.tick()
    assert bench.reconciler.report().trouble == ""


@pytest.fixture
def restarted(bench, tmp_path, own_registry):
    """Another replica of the same machine, which starts now."""
    return lambda: Bench(tmp_path, own_registry, bench.store)


def test_who_starts_while_the_store_is_away_serves_what_the_machine_remembers(bench, restarted, declare):
    declare(bench.store, ONE)
    declare(bench.store, TWO)
    bench.tick()
    bench.store.is_away = True
    started = restarted()
    started.reconciler.begin(0.0)
    assert (started.version(), dict(started.holder.current.problems)) == ("2", {})
    bench.store.is_away = False
    declare(bench.store, ONE)
    assert started.tick().routes["r"].route.document_version == 3


def test_who_starts_while_the_store_is_away_and_remembers_nothing_cannot(bench):
    bench.store.is_away = True
    with pytest.raises(StoreUnavailable, match="could not be read; see the log"):
        bench.reconciler.begin(0.0)


def test_who_starts_with_an_empty_store_serves_nothing_and_is_content(bench):
    bench.reconciler.begin(0.0)
    assert dict(bench.holder.current.routes) == {}


def test_keys_are_taken_when_they_have_changed(bench):
    bench.store.add_key(key("k"))
    for _ in range(3):
        bench.tick()
    bench.store.add_key(key("l"))
    bench.tick()
    assert bench.keys == [["k"], ["k", "l"]]


def test_a_document_that_is_damaged_while_nobody_runs_is_served_as_the_machine_remembers_it(bench, restarted, declare):
    declare(bench.store, ONE)
    bench.tick()
    bench.store.damage("r")
    started = restarted()
    live = started.tick()
    assert started.version() == "1"
    assert list(live.problems) == ["r"]


def test_the_replica_reports_what_it_serves(bench, declare):
    declare(bench.store, ONE)
    declare(bench.store, {**DAMAGED, "route": "bad"})
    bench.tick()
    (report,) = bench.store.reports()
    assert (report.replica, report.pid, dict(report.routes)) == ("me", 7, {"r": 1})
    assert list(report.problems) == ["bad"]
    assert report.snapshot_hash == bench.holder.current.snapshot.hash


def test_reports_are_repeated_so_that_others_know_it_lives(bench):
    bench.tick()
    first = bench.store.reports()[0].at_s
    bench.tick(after_s=0.5)
    assert bench.store.reports()[0].at_s == first
    bench.tick(after_s=0.6)
    assert bench.store.reports()[0].at_s > first


def test_a_replica_that_ends_takes_its_report_back(bench):
    stop = threading.Event()
    running = threading.Thread(target=bench.reconciler.run, args=(stop, 0.001))
    running.start()
    wait_until(lambda: len(bench.store.reports()) == 1)
    stop.set()
    running.join()
    assert bench.store.reports() == []


def test_a_registry_that_is_away_is_reported_though_no_route_needs_it(bench, monkeypatch):
    monkeypatch.setattr(type(bench.catalogue), "registry_trouble", "The registry does not answer.")
    assert bench.reconciler.report().trouble == "The registry does not answer."
