"""A machine that leaves: its replicas say so, and a drain does its steps in order within its time."""

import subprocess
from types import SimpleNamespace

import pytest

from gateway.replica import drain as drain_module
from gateway.replica.drain import drain_machine
from gateway.replica.leaving import Leaving, RayNode, announce, read_node, write_node
from gateway.settings import Settings
from inference_log.spool import take_seat
from tests.support.polling import PATIENCE_S, wait_until
from tests.unit.gateway.companion.support import home, write

NODE = RayNode("10.0.0.1:6379", "ab12")


def test_a_replica_believes_what_was_announced_after_its_start(tmp_path):
    first = Leaving(tmp_path)
    assert not first.is_set()
    assert first.why() == ""
    announce(tmp_path)
    assert first.is_set()
    assert "about to leave" in first.why()
    second = Leaving(tmp_path)  # in a container that was started again, with the same home
    assert not second.is_set()
    announce(tmp_path)
    assert second.is_set()


def test_the_node_is_read_as_it_was_written(tmp_path):
    assert read_node(tmp_path) is None
    write_node(tmp_path, NODE)
    assert read_node(tmp_path) == NODE


class Ray:
    """What stands for the command `ray drain-node`. It fails `failures` times, then does `then`."""

    def __init__(self, failures=0, then=lambda: None) -> None:
        self.asked: list[list[str]] = []
        self._failures, self._then = failures, then

    def run(self, command, **_):
        self.asked.append(command)
        if len(self.asked) <= self._failures:
            return SimpleNamespace(returncode=1, stdout="", stderr="Traceback\nthe head is away")
        self._then()
        return SimpleNamespace(returncode=0, stdout="", stderr="")


@pytest.fixture
def settings(tmp_path):
    return home(tmp_path).model_copy(update={"leave_wait_s": 0.0})


@pytest.fixture
def ray(monkeypatch, settings):
    """Return a function that puts a `Ray` in place."""

    def put(**options):
        made = Ray(**options)
        monkeypatch.setattr(
            drain_module,
            "subprocess",
            SimpleNamespace(run=made.run, TimeoutExpired=subprocess.TimeoutExpired),
        )
        write_node(settings.home, NODE)
        return made

    monkeypatch.setattr(drain_module, "_RETRY_EVERY_S", 0.0)
    return put


def test_readiness_fails_before_the_node_is_drained_and_the_end_of_the_replicas_is_awaited(settings, ray):
    leaving, seat, ready_at_drain = Leaving(settings.home), take_seat(settings.spool), []

    def end() -> None:
        ready_at_drain.append(not leaving.is_set())
        seat.release()

    asked = ray(then=end)
    steps: list[str] = []
    assert drain_machine(settings, PATIENCE_S, steps.append) == ""
    assert ready_at_drain == [False]
    (command,) = asked.asked
    assert command[1:6] == ["drain-node", "--address", NODE.address, "--node-id", NODE.node_id]
    assert 0 < int(command[-1]) <= PATIENCE_S
    assert [step.partition(" ")[0] for step in steps] == ["not", "draining", "waiting"]


def test_a_head_that_is_away_is_asked_again(settings, ray):
    asked = ray(failures=3)
    assert drain_machine(settings, PATIENCE_S, lambda _: None) == ""
    assert len(asked.asked) == 4


def test_what_is_left_when_the_time_is_over_is_said(settings, ray):
    ray()
    seat = take_seat(settings.spool)
    assert drain_machine(settings, 0.5, lambda _: None).startswith("1 replicas have not ended, and 0 segments")
    seat.release()
    ray(failures=1_000_000)
    assert "was not drained: the head is away" in drain_machine(settings, 0.2, lambda _: None)


def test_what_a_killed_replica_has_left_is_shipped(settings, ray, monkeypatch):
    monkeypatch.setattr(drain_module, "_ABANDONED_S", 0.0)
    ray()
    write(settings, 0, 1)
    assert drain_machine(settings, PATIENCE_S, lambda _: None) == ""
    assert list(settings.home.joinpath("log").rglob("*.parquet"))


def test_without_a_cluster_only_readiness_fails(tmp_path):
    settings = Settings(home=tmp_path, leave_wait_s=0.0).resolved()
    leaving = Leaving(tmp_path)
    assert drain_machine(settings, PATIENCE_S, lambda _: None) == ""
    wait_until(leaving.is_set)
