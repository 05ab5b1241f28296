"""The jobs of the companion: in their order, whatever part of them fails, and once more at the end."""

import threading
import time
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from gateway.companion import jobs
from gateway.companion.jobs import Shipping, Stewardship
from inference_log.local_converter import LocalConverter
from inference_log.record import Audit
from inference_log.ship import Shipper
from inference_log.sinks.directory import DirectorySink
from inference_log.spool import segments
from inference_log.writer import LogWriter

PARTS = ("view", "shares", "counter", "rollouts", "retain", "learner", "keep", "audit", "publish")


class Bench:
    """Parts of the stewardship that note when they are called. Those in `fails` raise."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.times: list[float] = []
        self.fails: set[str] = set()
        self.stop = threading.Event()
        self.stop_after = 1
        self.machines, self.store_s = 1, 0.0
        self.left = 0

    def run(self) -> None:
        share, keep = self._part("shares"), self._part("keep")
        Stewardship(
            view=SimpleNamespace(refresh=self._part("view"), serves=True, keep_policies=lambda _: keep()),
            shares=SimpleNamespace(
                refresh=lambda *, is_able: share() if is_able else None, machines=self.machines, leave=self._leave
            ),
            counter=SimpleNamespace(tick=self._part("counter"), store_s=self.store_s),
            rollouts=SimpleNamespace(tick=self._part("rollouts")),
            learner=SimpleNamespace(tick=self._part("learner")),
            learned=None,
            audit=SimpleNamespace(tick=self._part("audit")),
            retain=self._part("retain"),
            publish=self._part("publish"),
        ).run(self.stop, 0.0)

    def _leave(self) -> None:
        assert self.done[-1] == PARTS[-1]
        self.left += 1

    def _part(self, name: str):
        def tick(*now_s: float) -> None:
            self.done.append(name)
            self.times.extend(now_s)
            if self.done.count("view") >= self.stop_after:
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
    monkeypatch.setattr(jobs, "_SHIP_EVERY_S", 0.0)


def test_what_is_counted_is_looked_at_and_noted_in_this_order_and_once_more_at_the_end(bench):
    bench.stop_after = 3
    bench.run()
    assert bench.done == [*PARTS] * 4
    assert all(abs(time.time() - now_s) < 60 for now_s in bench.times)


def test_a_companion_that_stops_at_once_counts_what_there_is(bench):
    bench.stop.set()
    bench.run()
    assert bench.done == [*PARTS]
    assert bench.left == 1  # the other machines take its routes over at once


@pytest.mark.parametrize(("machines", "counted"), [(3, 4), (250, 2)])
def test_of_many_machines_each_counts_when_the_store_has_rested_from_it_and_at_the_end(bench, machines, counted):
    bench.machines, bench.store_s, bench.stop_after = machines, 0.2, 3
    bench.run()
    assert (bench.done.count("counter"), bench.done.count("rollouts")) == (counted, 4)


@pytest.mark.parametrize("name", sorted(set(PARTS) - {"rollouts"}))
def test_a_fault_of_one_part_does_not_stop_the_others(bench, name):
    bench.fails, bench.stop_after = {name}, 2
    with capture_logs() as lines:
        bench.run()
    assert bench.done == [*PARTS] * 3
    assert [line["event"] for line in lines] == ["gateway.companion.failed"] * 3


def test_a_fault_of_the_rollouts_does_not_stop_what_follows(bench):
    bench.fails, bench.stop_after = {"rollouts"}, 2
    with capture_logs() as lines:
        bench.run()
    assert bench.done == [part for part in PARTS if part != "retain"] * 3
    assert [line["event"] for line in lines] == ["gateway.companion.failed"] * 3


class StoppingSink(DirectorySink):
    """A directory. Its first file is followed by the companion's stop."""

    stop: threading.Event

    def put(self, key: str, staged, segment_sha256: str) -> bool:
        self.stop.set()
        return super().put(key, staged, segment_sha256)


def test_the_segments_of_each_writer_of_the_companion_are_closed_and_shipped(tmp_path, stop):
    folder, sink = tmp_path / "spool" / "companion", StoppingSink(tmp_path / "log")
    folder.mkdir(parents=True)
    sink.stop, writers = stop, [LogWriter(folder, "audits"), LogWriter(folder, "rewards")]
    for number, writer in enumerate(writers):
        writer.note(Audit(number, "r", 1, 0, "ann", "shift", "", "", "", {}, "{}"))
    shipper = Shipper(tmp_path / "spool", LocalConverter(sink))
    Shipping(tmp_path / "spool", writers, shipper, SimpleNamespace(rest=lambda: None), 3600.0).run(
        stop, 0.0, 0, lambda: True
    )
    assert segments(folder) == []
    assert shipper.rows_persisted == 2


@pytest.mark.parametrize(
    ("within_s", "is_last", "left"),
    [(-1.0, True, 6), (3600.0, True, 0), (3600.0, False, 6)],
    ids=["no time", "time", "others go on"],
)
def test_a_backlog_does_not_hold_up_the_end_and_the_next_companion_ships_it(tmp_path, stop, within_s, is_last, left):
    folder, sink = tmp_path / "spool" / "companion", StoppingSink(tmp_path / "log")
    folder.mkdir(parents=True)
    sink.stop, writer = stop, LogWriter(folder, "w")
    for number in range(6):
        writer.note(Audit(number, "r", 1, 0, "ann", "shift", "", "", "", {}, "{}"))
        writer.rotate(0.0, 0)
    writer.note(Audit(6, "r", 1, 0, "ann", "shift", "", "", "", {}, "{}"))
    rested = []

    def shipping(own: LogWriter) -> Shipping:
        converter = SimpleNamespace(rest=lambda: rested.append(1))
        shipper = Shipper(tmp_path / "spool", LocalConverter(sink))
        return Shipping(tmp_path / "spool", [own], shipper, converter, within_s)

    shipping(writer).run(stop, 3600.0, 1_000_000, lambda: is_last)
    assert len(segments(folder)) == left
    writer.close()
    assert len(rested) == 1 + is_last
    shipping(LogWriter(folder, "x")).run(stop, 3600.0, 1_000_000, lambda: True) if within_s > 0 else None
    if within_s > 0:
        assert segments(folder) == []
        assert len(list((tmp_path / "log").rglob("*.parquet"))) == 7
