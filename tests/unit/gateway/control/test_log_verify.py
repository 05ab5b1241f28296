"""`pointsman log verify`: the sums of the log are those of the store, wherever it is by then; what differs is named."""

import sqlite3
import threading

import pytest

from gateway.control.log_verify import SumsKeepChanging
from inference_log.file_names import part_key
from inference_log.files.directory import DirectoryFiles
from store.entry import Change, Entry
from store.sqlite.store import SQLiteStore
from tests.unit.gateway.control.support import NOON_US, context_of
from tests.unit.gateway.control.support_rewarded import LIFE_US, World, document, with_metrics


@pytest.fixture
def world(tmp_path):
    store = SQLiteStore(tmp_path / "control.db", now=lambda: NOON_US / 1e6)
    store.compare_and_set([Entry(document(), Change("ann", 0.0, "apply"))])
    made = World(tmp_path, store)
    yield made
    made.machine.writer.close()
    made.machine.seat.release()
    store.close()


def test_what_is_counted_is_in_the_log_whether_it_is_parquet_open_or_not_counted_yet(world):
    assert world.verify().differences == []
    for ships in (False, True, False, True):
        world.decide(60)
        world.reward(80)
        assert world.verify().differences == []  # nothing of it is counted yet
        world.machine.counter.tick()
        verified = world.verify()
        assert verified.differences == []
        if ships:
            world.machine.roll()
            assert world.verify() == verified
    assert verified.sums > 50
    assert verified.decisions > 200
    assert verified.rewards > 250


def test_a_parquet_file_of_a_segment_that_still_waits_is_read_once(world):
    world.decide(50)
    world.reward(50)
    world.machine.counter.tick()
    world.machine.shipper._may_delete = lambda _: False
    world.machine.roll()
    assert list((world.root / "log").rglob("*.parquet"))
    assert world.verify().differences == []


@pytest.mark.parametrize("ships", [False, True])
def test_a_sum_that_was_changed_is_named_with_both_values(world, ships):
    world.decide(50)
    world.reward(50)
    world.machine.counter.tick()
    if ships:
        world.machine.roll()
    with sqlite3.connect(world.root / "control.db") as connection:
        connection.execute(
            "UPDATE reward_sums SET total = total + 1 WHERE bucket_s = 0 AND metric = 'click' AND arm = 'canary'"
            " AND unit_group = -1"
        )
        connection.execute(
            "UPDATE sums SET value = value - 1 WHERE bucket_s = 0 AND name = 'requests' AND arm = 'stable'"
        )
    found = world.verify().differences
    assert [(each.arm, each.metric, each.group) for each in found] == [("canary", "click", None), ("stable", "", None)]
    assert found[0].store["total"] == found[0].log["total"] + 1
    assert found[1].store["requests"] == found[1].log["requests"] - 1


def test_rows_that_are_missing_in_the_log_are_named(world):
    world.decide(50)
    world.reward(50)
    world.machine.counter.tick()
    world.machine.roll()
    for path in (world.root / "log" / "rewards").rglob("*.parquet"):
        path.unlink()
    found = world.verify().differences
    assert found
    assert all(each.log["rewarded"] == 0 for each in found)


def test_a_gateway_that_goes_on_makes_no_difference(world):
    world.decide(50)
    world.machine.counter.tick()
    stop = threading.Event()

    def live() -> None:
        while not stop.wait(0.2):
            world.decide(20)
            world.reward(20)
            world.machine.counter.tick()
            world.machine.roll()

    thread = threading.Thread(target=live)
    thread.start()
    try:
        assert [world.verify().differences for _ in range(5)] == [[]] * 5
    finally:
        stop.set()
        thread.join()


def test_a_store_that_changes_each_time_is_no_difference_but_a_sentence(world, monkeypatch):
    monkeypatch.setattr("gateway.control.log_verify._PAUSE_S", 0.0)
    read = world.store.reward_sums

    def count_meanwhile(route, since_version, since_s, *, by_group=False):
        world.machine.append(with_metrics(context_of("stable", 1)), NOON_US)
        world.machine.counter.tick()
        return read(route, since_version, since_s, by_group=by_group)

    monkeypatch.setattr(world.store, "reward_sums", count_meanwhile)
    with pytest.raises(SumsKeepChanging, match="Try again"):
        world.verify()


def test_what_was_decided_in_an_earlier_life_of_the_route_is_in_no_sum(world):
    world.machine.append(with_metrics(context_of("stable", 1)), LIFE_US - 10**7)  # before the store was lost
    world.machine.roll()
    with sqlite3.connect(world.root / "control.db") as connection:
        connection.execute("DELETE FROM reward_sums")
        connection.execute("DELETE FROM sums")
    assert world.verify().differences == []


def test_segments_of_machines_that_have_not_shipped_them_are_named(world):
    world.decide(2)
    (waiting,) = world.machine.seat.folder.glob("*.segment")
    for name in (waiting.stem, "lost-0-1-00000000"):
        DirectoryFiles(world.root / "log").write(part_key(name, 0, 1), b"x")
    assert world.verify().not_shipped == ["lost-0-1-00000000"]
