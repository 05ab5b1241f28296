"""A process is killed only after a long time without a heartbeat, and only if it still holds its lock."""

import os
import subprocess
import sys
import time

import pytest

from gateway.companion.fence import Fence
from inference_log.process_lock import holder, is_held
from inference_log.spool import seat_locks, take_seat

_HOLD = (
    "import sys, time; from inference_log.spool import take_seat; seat = take_seat(__import__('pathlib').Path({!r}))"
)
LIMIT_S = 5.0


@pytest.fixture
def neighbour(tmp_path):
    """Start a process that holds a seat and gives one heartbeat, when it takes the seat."""
    script = _HOLD.format(str(tmp_path)) + "; print('held', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def ended():
    return []


@pytest.fixture
def fence(tmp_path, ended):
    return Fence(lambda: seat_locks(tmp_path), LIMIT_S, end=ended.append)


def test_a_neighbour_without_a_sign_of_life_is_ended(fence, ended, neighbour):
    for now_s in range(6):
        fence.look(float(now_s))
    assert ended == []  # five seconds are not more than five
    fence.look(6.0)
    assert ended == [neighbour.pid]


def test_a_neighbour_that_shows_life_is_not(fence, ended, neighbour, tmp_path):
    for now_s in range(20):
        fence.look(float(now_s))
        os.utime(tmp_path / "0" / "lock", (now_s, now_s))
    assert ended == []


def test_a_process_that_did_not_run_itself_starts_to_watch_anew(fence, ended, neighbour):
    fence.look(0.0)
    fence.look(60.0)  # the whole machine slept
    assert ended == []


def test_a_lock_whose_holder_is_gone_names_no_process(fence, ended, neighbour, tmp_path):
    neighbour.kill()
    neighbour.wait()
    for now_s in range(20):
        assert holder(tmp_path / "0" / "lock") is None
        fence.look(float(now_s))
        is_held(tmp_path / "0" / "lock")
    assert ended == []


@pytest.mark.parametrize("field", [0, 1, 2, 3], ids=["pid", "boot", "namespace", "start"])
def test_a_holder_of_another_machine_boot_or_time_is_not_named(neighbour, tmp_path, field):
    lock = tmp_path / "0" / "lock"
    pid, shown_s = holder(lock)
    assert pid == neighbour.pid
    assert abs(time.time() - shown_s) < 60
    identity = lock.read_text().split(" ")
    identity[field] = "1" if field in (0, 3) else "elsewhere"
    lock.write_text(" ".join(identity))
    assert holder(lock) is None


def test_no_process_names_itself(tmp_path):
    seat = take_seat(tmp_path)
    assert holder(tmp_path / "0" / "lock") is None
    seat.release()


def test_a_neighbour_that_is_gone_meanwhile_is_no_error(tmp_path, neighbour):
    def end(pid: int) -> None:
        raise ProcessLookupError(pid)

    fence = Fence(lambda: seat_locks(tmp_path), LIMIT_S, end=end)
    for now_s in range(8):
        fence.look(float(now_s))
