"""Live sums equal the log, to the integer, whichever process dies when and whatever the store does."""

import itertools
import math
import subprocess
import sys
from collections import Counter as Multiset
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from inference_log.ship import DEAD_LETTER
from inference_log.spool import all_segments
from router.evidence.sums import ALL_UNITS, SumKey, group_of
from store.sqlite.store import SQLiteStore
from tests.support.components import by_hand
from tests.support.paths import ROOT
from tests.unit.gateway.control.support import KINDS, NOON_US, Fate, Killed, Machine, MemorySums, context_of

_APPEND_AND_COUNT_FOREVER = """
import sys, threading
from pathlib import Path
from store.sqlite.store import SQLiteStore
from tests.unit.gateway.control.support import NOON_US, Machine, context_of

root = Path(sys.argv[1])
name = f"victim{len(list((root / 'spool').glob('*/*')))}"
machine = Machine(root, name, SQLiteStore(root / "control.db"), piece_bytes=3000)


def count_and_ship():
    while True:
        machine.counter.tick()
        machine.roll()


threading.Thread(target=count_and_ship, daemon=True).start()
context = context_of("canary", 1)
while True:
    machine.append(context, NOON_US)
    print("answered", flush=True)
"""
THRESHOLD_MS = 50.0
LATENCY_US = 1500
"""The latency of `make_record` without changes."""
BY_GROUP = {"requests", "errors", "left", "slow:50000", "missing", "compared", "flips_millionths"}


def with_groups(key: SumKey, adds: Mapping[str, int], unit_hash: str | None) -> Multiset[SumKey]:
    """Return what a record adds: to the sums of all units, and to those of its unit's group."""
    sums = Multiset({key._replace(name=name): value for name, value in adds.items()})
    if unit_hash is not None:
        of_group = key._replace(bucket_s=key.bucket_s // 60 * 60, group=group_of(unit_hash))
        sums.update({of_group._replace(name=name): value for name, value in adds.items() if name in BY_GROUP})
    return sums


def rebuilt(log: Path) -> Multiset:
    """Return the sums of the Parquet files' rows, computed without the code under test."""
    sums: Multiset[SumKey] = Multiset()
    for path in log.glob("inferences/route=fraud/*/*.parquet"):
        for row in pq.ParquetFile(path).read().to_pylist():
            arrived_us = row["event_ts_us"] - round(row["latency_ms"] * 1000)
            key = SumKey(arrived_us // 10_000_000 * 10, row["policy_version"], row["arm"], "2", "", "")
            slow = row["latency_ms"] > THRESHOLD_MS
            gap = any(not math.isfinite(number) for number in row["prediction"] or [])
            if row["role"] == "shadow":
                name = "answers" if row["outcome"] == "ok" else "failures"
                sums[key._replace(against=row["compared_with"], name=name)] += 1
                continue
            if row["role"] == "fallback":
                continue
            if row["reason"] not in ("WEIGHTED", "STICKY"):
                continue
            left = row["error_code"] in ("ClientGone", "CancelledError")
            failed = not left and row["outcome"] != "ok"
            counts = {"requests": not left, "left": left, "errors": failed, "slow:50000": slow, "missing": gap}
            sums.update(with_groups(key, {name: 1 for name, is_so in counts.items() if is_so}, row["unit_hash"]))
    return sums


class World:
    """Two replicas that append, count, ship, die and are replaced; `appended` is what counting must come to."""

    def __init__(self, root: Path, store: Any, fate: Fate) -> None:
        self.appended: Multiset[SumKey] = Multiset()
        self._root, self._store, self._fate = root, store, fate
        self._names = (f"w{number}" for number in itertools.count())
        self._machines = [self._start(), self._start()]
        arms = ("stable", "canary", "fallback", "shadow")
        self._contexts = {(arm, version): context_of(arm, version) for arm in arms for version in (1, 2)}

    def live(self, steps: int) -> None:
        """Run that many random steps, then end everything in order."""
        dice = self._fate.dice
        for step in range(steps):
            index = dice.randrange(2)
            try:
                self._step(self._machines[index], NOON_US + step * 700_000)
            except Killed:
                self._machines[index].die()
                self._machines[index] = self._start()
        self._fate.calm = True
        for machine in self._machines * 2:
            machine.counter.tick()
            machine.roll()
        for machine in self._machines:
            machine.counter.tick()
            machine.seat.release()

    def _start(self) -> Machine:
        piece_bytes = self._fate.dice.choice((300, 2000, 100_000))
        return Machine(self._root, next(self._names), self._store, self._fate.kill, piece_bytes)

    def _step(self, machine: Machine, event_us: int) -> None:
        match self._fate.dice.choice(("append", "append", "append", "tick", "tick", "torn", "roll", "kill")):
            case "append":
                for _ in range(self._fate.dice.randrange(12)):
                    self._append(machine, event_us)
            case "tick":
                machine.counter.tick()
            case "torn":
                machine.begin_a_frame(self._fate.dice.random())
            case "roll":
                machine.roll()
            case "kill":
                self._fate.kill()

    def _append(self, machine: Machine, event_us: int) -> None:
        arm, changes, adds = self._fate.dice.choice(KINDS)
        context = self._contexts[arm, self._fate.dice.choice((1, 2))]
        machine.append(context, event_us, **changes)
        arrived_us = event_us - changes.get("latency_us", LATENCY_US)
        key = SumKey(arrived_us // 10_000_000 * 10, context.policy_version, arm, "2", context.against, "")
        self.appended.update(with_groups(key, adds, changes.get("unit_hash")))


@pytest.mark.parametrize("seed", [*range(3), *map(by_hand, range(3, 25))])
def test_live_sums_are_those_of_the_log_whoever_dies_when(tmp_path, seed):
    store, fate = MemorySums(), Fate(seed)
    store.before_write = store.after_write = fate.strike
    world = World(tmp_path, store, fate)
    world.live(120)
    assert all_segments(tmp_path / "spool") == []
    assert store.added == world.appended
    from_log = rebuilt(tmp_path / "log")
    names = {key.name for key in from_log}  # the log has a shadow's differences per row, not as sums
    assert {key: value for key, value in store.added.items() if key.name in names} == from_log


@pytest.mark.parametrize("seed", range(3))
def test_sqlite_has_the_same_sums(tmp_path, seed):
    sqlite = SQLiteStore(tmp_path / "control.db", now=lambda: NOON_US / 1e6)
    world = World(tmp_path, sqlite, Fate(seed))
    world.live(80)
    by_group = sqlite.group_sums("fraud", 0, 0)
    assert {**sqlite.recent_sums("fraud", 0), **by_group.recent} == world.appended
    for totals, is_group in ((sqlite.sums("fraud", 0), False), (by_group.totals, True)):
        added = {key: value for key, value in world.appended.items() if (key.group != ALL_UNITS) == is_group}
        assert sum(totals.values()) == sum(added.values()) > 0
    sqlite.close()


def test_a_kill_by_the_system_loses_and_doubles_nothing(tmp_path):
    command = [sys.executable, "-c", _APPEND_AND_COUNT_FOREVER, str(tmp_path)]
    answered = 0
    for _ in range(3):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as victim:
            assert victim.stdout is not None
            answered += len([victim.stdout.readline() for _ in range(1000)])
            victim.kill()
            answered += sum(line.endswith("\n") for line in victim.stdout)
    sqlite = SQLiteStore(tmp_path / "control.db")
    heir = Machine(tmp_path, "heir", sqlite)
    for _ in range(2):
        heir.roll()
    assert not (tmp_path / "spool" / DEAD_LETTER).exists()  # kills are not the fault of a segment
    heir.counter.tick()
    live = sum(value for key, value in sqlite.sums("fraud", 0).items() if key.name == "requests")
    kept = sum(pq.read_metadata(path).num_rows for path in (tmp_path / "log").rglob("*.parquet"))
    assert live == kept
    assert 0 <= kept - answered <= 3  # appended, but killed before it could print
    heir.seat.release()
    sqlite.close()
