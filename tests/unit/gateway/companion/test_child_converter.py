"""Segments are converted in a process that may die, hang or run out of memory without harm to the companion."""

import os
import signal
import socket
import threading
import time
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from gateway.companion import child_converter
from gateway.companion.child_converter import ChildConverter
from gateway.companion.convert import Task
from gateway.execution.process.child import ChildProcess
from inference_log.converter import Converted, Outcome
from inference_log.record import Context, Record, SegmentHeader
from inference_log.segment import frame
from tests.support.polling import wait_until
from tests.unit.gateway.companion.support import home, write

GIB = 1024 * 1024 * 1024


def task_of(settings, max_bytes: int = GIB) -> Task:
    return Task(settings.log, str(settings.staging), settings.log_kms_key, max_bytes)


def never() -> bool:
    return False


@pytest.fixture
def settings(tmp_path):
    return home(tmp_path)


@pytest.fixture
def converter(settings):
    made = ChildConverter(task_of(settings))
    yield made
    made.rest()


def test_one_process_converts_one_segment_after_the_other_and_ends_when_it_is_told_to(settings, converter):
    first = converter.convert(write(settings, 0, 1, 2), never)
    pid = converter._child.pid
    second = converter.convert(write(settings, 0, 3), never)
    assert [(each.outcome, each.rows) for each in (first, second)] == [(Outcome.STORED, 2), (Outcome.STORED, 1)]
    assert converter._child.pid == pid
    converter.rest()
    assert not Path(f"/proc/{pid}").exists()
    assert converter.convert(write(settings, 0, 4), never).rows == 1
    assert len(list(settings.home.glob("log/audit/*/*.parquet"))) == 3


def test_a_segment_is_refused_or_kept_as_in_this_process(settings, converter):
    poison = settings.spool / "0" / "w-00000000.segment"
    poison.parent.mkdir(parents=True)
    record = Record(7, 0, "d", 0, 0, "", None, None, 200, "ok", "", 0, 0, 1, "", "", (), ())
    poison.write_bytes(frame(SegmentHeader("w", 0)) + frame(record))
    assert converter.convert(poison, never).outcome is Outcome.REFUSED
    assert converter.convert(settings.spool / "0" / "none.segment", never).outcome is Outcome.UNAVAILABLE


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV], ids=["killed", "crashed"])
def test_a_process_that_dies_is_said_to_and_the_next_one_goes_on(settings, converter, number):
    assert converter.convert(write(settings, 0, 1), never).outcome is Outcome.STORED
    os.kill(converter._child.pid, number)
    died = converter.convert(write(settings, 0, 2), never)
    assert died.outcome is Outcome.FAILED
    assert f"signal {number.value}" in died.sentence
    assert converter.convert(write(settings, 0, 3), never).outcome is Outcome.STORED


@pytest.mark.parametrize("stopped", [True, False], ids=["the companion ends", "it takes too long"])
def test_a_conversion_that_hangs_is_broken_off(settings, converter, stopped):
    assert converter.convert(write(settings, 0, 1), never).outcome is Outcome.STORED
    pid = converter._child.pid
    os.kill(pid, signal.SIGSTOP)
    if not stopped:
        converter._limit_s = 0.3
    broken = converter.convert(write(settings, 0, 2), lambda: stopped)
    assert broken.outcome is (Outcome.INTERRUPTED if stopped else Outcome.FAILED)
    assert not Path(f"/proc/{pid}").exists()


def test_a_conversion_that_gives_signs_of_life_may_take_longer(converter):
    """As with S3 that takes a second for each of a thousand files."""
    result = msgspec.json.encode(Converted(Outcome.STORED, rows=7)) + b"\n"
    parts = [b"\n"] * 8 + [result[:5], result[5:]]

    class Child:
        def __init__(self) -> None:
            self.connection, self._own = socket.socketpair()

        def send(self) -> None:
            for part in parts:
                self._own.sendall(part)
                time.sleep(0.1)

        def kill(self) -> None: ...

        def wait(self) -> str:
            return "killed"

        def close(self) -> None:
            for each in (self.connection, self._own):
                each.close()

    child = converter._child = Child()
    converter._limit_s = 0.5
    sending = threading.Thread(target=child.send)
    sending.start()
    assert converter.convert(Path("w.segment"), never).rows == 7
    sending.join()


def test_a_segment_that_takes_more_memory_than_there_is_fails_alone(settings):
    """It would have taken down the node, and again after each restart."""
    path = settings.spool / "0" / "w-00000000.segment"
    path.parent.mkdir(parents=True)
    names = tuple(f"feature {number}" for number in range(62))
    context = Context(0, "r", "a", "primary", "split", 1, "h", {"a": 1.0}, "m", "1", "d", names, ("<f4",))
    values = (bytes(4 * 62 * 60_000),)
    record = Record(0, 0, "d", 0, 0, "", None, None, 200, "ok", "", 0, 0, 60_000, "", "", values, ())
    path.write_bytes(frame(SegmentHeader("w", 0)) + frame(context) + frame(record))
    small = ChildConverter(task_of(settings, 256 * 1024 * 1024))
    failed = small.convert(path, never)
    assert failed.outcome is Outcome.FAILED, failed
    assert small.convert(write(settings, 1, 1), never).outcome is Outcome.STORED
    small.rest()
    large = ChildConverter(task_of(settings))
    assert large.convert(path, never).rows == 60_000
    large.rest()
    (parquet,) = settings.home.glob("log/inferences/*/*/*.parquet")
    assert pq.read_metadata(parquet).num_rows == 60_000


def test_a_process_ends_with_its_companion(settings, tmp_path):
    """A companion that is killed cannot end it."""
    task = msgspec.json.encode(task_of(settings)).decode()
    child = ChildProcess(child_converter._CONVERT, task, environment={}, nice=0)
    child.close()
    ended = threading.Thread(target=child.wait)
    ended.start()
    wait_until(lambda: not ended.is_alive())
