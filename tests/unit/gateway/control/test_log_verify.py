"""`pointsman log verify`: the sums of the log are those of the store, wherever it is by then; what differs is named."""

import random
import sqlite3
import threading
from dataclasses import replace

import msgspec
import pytest

from gateway.control.log_verify import SumsKeepChanging, verify_log
from inference_log.record import Reward, RewardContext
from router.document.commands import Declare, apply
from router.rewards.events import Operation
from router.spec.parse import parse_spec
from store.interface import Change, Entry
from store.sqlite.store import SQLiteStore
from tests.unit.gateway.control.support import NOON_US, Machine, context_of

LIFE_US = NOON_US - 10**9
METRICS = {
    "click": {"window": "1h"},
    "revenue": {"range": [-2, 500], "window": "7d", "aggregate": "sum", "default": 1},
    "net": {"formula": "revenue - 0.1 * latency_ms", "range": [-100, 500]},
    "was": {"label": True, "window": "30d"},
}


def document():
    declared = {
        "route": "fraud", "arms": {"stable": "fraud:1", "canary": "fraud:2"},
        "split": {"stable": "90%", "canary": "10%"}, "metrics": METRICS,
    }  # fmt: skip
    return replace(apply(None, Declare(parse_spec(declared))), declared_us=LIFE_US)


SPECS = document().spec.metrics


class World:
    """A machine that appends decisions and rewards, and a store that counts them."""

    def __init__(self, root, store) -> None:
        self.root, self.store = root, store
        self.machine = Machine(root, "w", store, piece_bytes=4000)
        self._dice = random.Random(7)  # noqa: S311  # no secret
        self._decisions: list[tuple] = []

    def decide(self, count: int) -> None:
        for _ in range(count):
            arm = self._dice.choice(["stable", "canary"])
            context = context_of(arm, 1)
            kind = self._dice.choice(
                [{}, {"reason": "STICKY", "unit_hash": f"u{self._dice.randrange(9)}"}, {"outcome": "error"},
                 {"reason": "FORCED", "propensity": None}, {"latency_us": self._dice.randrange(10**6)},
                 {"outcome": "error", "error_code": "ClientGone"}, {"batch_size": 3}]
            )  # fmt: skip
            event_us = NOON_US + self._dice.randrange(3) * 40_000_000_000
            number = len(self._decisions)
            self.machine.append(with_metrics(context), event_us, **kind)
            drawn = kind.get("reason") != "FORCED"
            self._decisions.append((f"w-{number}", arm, event_us, kind.get("latency_us", 1500), drawn))

    def reward(self, count: int) -> None:
        for _ in range(count):
            decision_id, arm, event_us, latency_us, drawn = self._dice.choice(self._decisions)
            name = self._dice.choice(["click", "revenue", "was"])
            said = {
                "metric": name, "event": self._dice.choice("ab"), "operation": self._dice.choice(list(Operation)),
                "event_us": event_us + self._dice.randrange(5),
                "value": "yes" if name == "was" else self._dice.choice([0.0, 0.5, 1.0]),
            }  # fmt: skip
            context = RewardContext(0, "fraud", LIFE_US, 1, arm, "2", SPECS)
            decided = event_us - latency_us, latency_us, 0.5 if drawn else None, self._dice.choice([-1, 3])
            late = self._dice.random() < 0.1

            def entry(number: int, sequence: int, said=said, decided=decided, late=late, of=decision_id) -> Reward:
                return Reward(
                    number, sequence, of, *decided, said["metric"], said["event"], said["operation"], said["event_us"],
                    said["value"], NOON_US + sequence, late, "http",
                )  # fmt: skip

            assert self.machine.writer.append(context, entry)

    def verify(self):
        return verify_log(self.store, self.root / "log", self.root / "spool", lambda _: None)


def with_metrics(context):
    return msgspec.structs.replace(context, metrics=SPECS)


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
