"""Companions as processes: there is one, it is replaced when it ends or hangs, and the last one does what is left."""

import itertools
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from gateway.companion import keeper as keeper_module
from gateway.companion.files import lock_file
from gateway.companion.keeper import CompanionKeeper
from inference_log.process_lock import holder, is_held
from inference_log.spool import all_segments, take_seat
from tests.support.polling import PATIENCE_S, wait_until
from tests.unit.gateway.companion.support import home, write


class Node:
    """Replicas of one machine, each a seat and a keeper that looks when it is told to."""

    def __init__(self, folder) -> None:
        self.settings = home(folder)
        self.replicas: list[tuple] = []

    def add(self, *, is_first: bool = True) -> CompanionKeeper:
        """Add a replica."""
        kept = CompanionKeeper(self.settings, is_first=is_first)
        self.replicas.append((take_seat(self.settings.spool), kept))
        return kept

    def end(self, number: int) -> None:
        """End a replica in order."""
        seat, kept = self.replicas[number]
        seat.release()
        kept.finish()

    def companion(self, *, other_than: int = 0) -> int:
        """Let every keeper look until a companion runs, and return its pid."""

        def found() -> int:
            for _, kept in self.replicas:
                kept.look()
            now = holder(lock_file(self.settings))
            return now[0] if now is not None and now[0] != other_than else 0

        return wait_until(found)

    def numbers(self) -> list[int]:
        """Return the changes that are in the log, of all files."""
        return sorted(
            row["number"]
            for path in self.settings.home.glob("log/audit/*/*.parquet")
            for row in pq.ParquetFile(path).read().to_pylist()
        )


@pytest.fixture
def node(tmp_path, monkeypatch):
    """Return a machine whose companions may take long for their last work: their priority is low."""
    monkeypatch.setattr(keeper_module, "_LAST_WORK_S", PATIENCE_S)
    monkeypatch.setattr(keeper_module, "_MODULE", "tests.unit.gateway.companion.patient_companion")
    made = Node(tmp_path)
    yield made
    for number in range(len(made.replicas)):
        made.end(number)
    wait_until(lambda: not is_held(lock_file(made.settings)))


def test_a_companion_ships_what_lies_in_every_seat_and_ends_with_the_last_replica(node):
    write(node.settings, 0, 1, 2)
    write(node.settings, 7, 3)  # of a replica that is gone
    node.add()
    pid = node.companion()
    wait_until(lambda: node.numbers() == [1, 2, 3])
    write(node.settings, 0, 4)
    node.end(0)
    assert (node.numbers(), all_segments(node.settings.spool)) == ([1, 2, 3, 4], [])
    assert not Path(f"/proc/{pid}").exists()


def test_of_many_replicas_one_starts_a_companion_and_the_others_leave_it(node):
    for _ in range(3):
        node.add()
    pid = node.companion()

    def is_settled() -> bool:
        assert node.companion() == pid
        return sum(kept._child is not None for _, kept in node.replicas) == 1

    wait_until(is_settled)


def test_a_replica_that_is_not_first_waits_for_another_to_start_the_companion(node, monkeypatch):
    started = []
    monkeypatch.setattr(CompanionKeeper, "_start", lambda self, _: started.append(self))
    first, second = node.add(is_first=True), node.add(is_first=False)
    second.look()
    first.look()
    assert started == [first]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "ended"])
def test_a_companion_that_is_gone_is_replaced(node, number):
    node.add()
    pid = node.companion()
    os.kill(pid, number)
    write(node.settings, 0, 1)
    assert node.companion(other_than=pid) != pid
    wait_until(lambda: node.numbers() == [1])


def test_a_companion_that_is_stopped_is_killed_and_replaced(node, monkeypatch):
    monkeypatch.setattr(keeper_module, "_SILENT_S", 3.0)
    node.add()
    pid = node.companion()
    os.kill(pid, signal.SIGSTOP)
    assert node.companion(other_than=pid) != pid
    assert not Path(f"/proc/{pid}").exists()


def test_a_companion_ends_with_the_replica_that_started_it_and_another_starts_the_next(node):
    write(node.settings, 0, 1)
    node.add()
    first = node.companion()
    node.add()
    node.end(0)
    assert not Path(f"/proc/{first}").exists()
    del node.replicas[0]
    assert node.companion(other_than=first) != first
    wait_until(lambda: node.numbers() == [1])


def test_companions_that_end_at_once_are_started_less_and_less_often(node, monkeypatch):
    kept, started = node.add(), []
    now = [100.0]
    monkeypatch.setattr(keeper_module.time, "monotonic", lambda: now[0])

    class EndsAtOnce:
        """A process that has ended."""

        pid = 0
        connection = SimpleNamespace(sendall=lambda _: None, close=lambda: None)

        def __init__(self, *_: object, **__: object) -> None:
            started.append(now[0])

        def has_ended(self) -> bool:
            return True

        def wait(self) -> str:
            return "Its process ended (status 1)"

        def close(self) -> None:
            """Close nothing."""

    monkeypatch.setattr(keeper_module, "ChildProcess", EndsAtOnce)
    for _ in range(240):
        kept.look()
        now[0] += 0.5
    pauses = [after - before for before, after in itertools.pairwise(started)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (1.5, 30.5)


def test_a_replica_that_ends_alone_and_without_a_companion_starts_one_for_the_rest(node):
    write(node.settings, 0, 1)
    node.add()
    node.end(0)
    assert (node.numbers(), all_segments(node.settings.spool)) == ([1], [])


def test_the_end_does_not_wait_for_ever(node, monkeypatch):
    monkeypatch.setattr(keeper_module, "_LAST_WORK_S", 0.5)
    node.settings = node.settings.model_copy(update={"ship_at_end_s": 0.0})
    node.add()
    pid = node.companion()
    os.kill(pid, signal.SIGSTOP)
    began_s = time.monotonic()
    node.end(0)
    assert time.monotonic() - began_s < PATIENCE_S / 2
    assert not Path(f"/proc/{pid}").exists()


def test_a_companion_that_is_slow_to_start_is_not_taken_for_one_that_hangs(node, monkeypatch):
    """On a busy machine its imports take longer than a process may be silent: none ever got to work."""
    monkeypatch.setattr(keeper_module, "_SILENT_S", 3.0)
    monkeypatch.setattr(keeper_module, "_MODULE", "tests.unit.gateway.companion.slow_companion")
    node.add()
    pid = node.companion()
    until_s = time.monotonic() + 8
    while time.monotonic() < until_s:
        assert node.companion() == pid
        time.sleep(0.2)
