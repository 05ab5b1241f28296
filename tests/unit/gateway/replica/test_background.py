"""The threads of a replica: shared work goes on whatever part of it fails, and is done once more at the end."""

import asyncio
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from gateway.replica import background
from gateway.replica.background import (
    ThreadGroup,
    do_shared_work,
    keep_signing_keys,
    ship_segments,
    show_heartbeat,
    watch_neighbours,
)
from inference_log.record import Audit
from inference_log.ship import Shipper
from inference_log.sinks.directory import DirectorySink
from inference_log.spool import segments, take_seat
from inference_log.writer import LogWriter

PARTS = ("counter", "rollouts", "audit")


class Bench:
    """Three parts of the shared work that note when they are called. Those in `fails` raise."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.times: list[float] = []
        self.fails: set[str] = set()
        self.stop = threading.Event()
        self.stop_after = 1
        self.parts = [SimpleNamespace(tick=self._part(name)) for name in PARTS]

    def run(self) -> None:
        do_shared_work(self.stop, 0.0, *self.parts)

    def _part(self, name: str):
        def tick(*now_s: float) -> None:
            self.done.append(name)
            self.times.extend(now_s)
            if self.done.count("counter") >= self.stop_after:
                self.stop.set()
            if name in self.fails:
                raise RuntimeError(f"A fault of {name}.")

        return tick


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch):
    for name in ("_FENCE_EVERY_S", "_SHIP_EVERY_S", "LOOK_EVERY_S"):
        monkeypatch.setattr(background, name, 0.0)


def test_what_is_counted_is_looked_at_and_noted_in_this_order_and_once_more_at_the_end(bench):
    bench.stop_after = 3
    bench.run()
    assert bench.done == [*PARTS] * 4
    assert all(abs(time.time() - now_s) < 60 for now_s in bench.times)


def test_a_replica_that_stops_at_once_counts_what_there_is(bench):
    bench.stop.set()
    bench.run()
    assert bench.done == [*PARTS]


@pytest.mark.parametrize("name", PARTS)
def test_a_fault_of_one_part_does_not_stop_the_others(bench, name):
    bench.fails, bench.stop_after = {name}, 2
    with capture_logs() as lines:
        bench.run()
    assert bench.done == [*PARTS] * 3
    assert [line["event"] for line in lines] == ["gateway.steward.failed"] * 3


def test_segments_are_shipped_as_they_get_old_or_large_and_all_of_them_at_the_end(stop):
    limits = []

    def tick(max_age_s: float, max_bytes: int, expired) -> None:
        limits.append((max_age_s, max_bytes))
        assert not expired()
        if len(limits) == 2:
            stop.set()
            assert expired()

    ship_segments(stop, SimpleNamespace(tick=tick), 3600.0, 1_000_000)
    assert limits == [(3600.0, 1_000_000), (3600.0, 1_000_000), (0.0, 0)]


class StoppingSink(DirectorySink):
    """A directory. Its first file is followed by the replica's stop."""

    stop: threading.Event

    def put(self, key: str, staged: Path, segment_sha256: str) -> bool:
        self.stop.set()
        return super().put(key, staged, segment_sha256)


@pytest.mark.parametrize(("within_s", "left"), [(-1.0, 5), (3600.0, 0)])
def test_a_backlog_does_not_hold_up_the_end_and_the_next_start_ships_it(tmp_path, stop, monkeypatch, within_s, left):
    monkeypatch.setattr(background, "_SHIP_AT_END_S", within_s)
    seat, sink = take_seat(tmp_path / "spool"), StoppingSink(tmp_path / "log")
    sink.stop, writer = stop, LogWriter(seat.folder, "w")
    for number in range(6):
        writer.note(Audit(number, "r", 1, 0, "ann", "shift", "", "", "", {}, "{}"))
        writer.rotate(0.0, 0)
    writer.note(Audit(6, "r", 1, 0, "ann", "shift", "", "", "", {}, "{}"))
    ship_segments(stop, Shipper(tmp_path / "spool", seat.folder, writer, sink), 3600.0, 1_000_000)
    closed = segments(seat.folder)
    assert (len(closed), writer.open_paths) == (left + 1 if left else 0, set())  # the active one was closed, too
    seat.release()
    heir = take_seat(tmp_path / "spool")
    Shipper(tmp_path / "spool", heir.folder, LogWriter(heir.folder, "x"), sink).tick(60.0, 1_000_000)
    assert segments(heir.folder) == []
    assert len(list((tmp_path / "log").rglob("*.parquet"))) == 7
    heir.release()


def test_signing_keys_are_looked_at_by_the_monotonic_clock_until_the_stop(stop):
    times = []

    def tick(now_s: float) -> None:
        times.append(now_s)
        if len(times) == 2:
            stop.set()

    keep_signing_keys(stop, SimpleNamespace(tick=tick))
    assert all(0 <= time.monotonic() - now_s < 60 for now_s in times)
    keep_signing_keys(stop, SimpleNamespace(tick=tick))  # after the stop nothing is read any more
    assert len(times) == 2


@pytest.mark.parametrize(("error", "level"), [(OSError("No spool."), "warning"), (RuntimeError("A fault."), "error")])
def test_a_fence_that_fails_is_logged_and_looks_again(stop, error, level):
    times = []

    def look(now_s: float) -> None:
        times.append(now_s)
        if len(times) == 3:
            stop.set()
        raise error

    with capture_logs() as lines:
        watch_neighbours(stop, SimpleNamespace(look=look))
    assert [(line["event"], line["log_level"]) for line in lines] == [("gateway.fence.failed", level)] * 3


def test_a_heartbeat_that_fails_goes_on_silently(stop):
    beats = []

    def heartbeat() -> None:
        beats.append(1)
        if len(beats) == 3:
            stop.set()
        raise OSError("No disk.")

    with capture_logs() as lines:
        show_heartbeat(stop, SimpleNamespace(heartbeat=heartbeat))
    assert (len(beats), lines) == (3, [])


def test_the_threads_of_a_group_end_together_and_are_waited_for():
    group, ended = ThreadGroup(), []

    def run(stop: threading.Event, name: str) -> None:
        assert threading.current_thread().name == f"thread {name}"
        assert threading.current_thread().daemon
        stop.wait()
        ended.append(name)

    for name in "ab":
        group.start(f"thread {name}", run, name)
    asyncio.run(group.stop())
    assert sorted(ended) == ["a", "b"]
