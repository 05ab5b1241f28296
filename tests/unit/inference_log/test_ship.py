"""Shipping: what can be shipped is, once; what cannot is kept, or set aside, and the rest goes on."""

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from inference_log.errors import SinkConflict, SinkUnavailable
from inference_log.record import SegmentHeader
from inference_log.segment import frame
from inference_log.ship import DEAD_LETTER, Shipper
from inference_log.sinks import Sink
from inference_log.sinks.directory import DirectorySink
from inference_log.spool import Seat, segments, take_seat
from inference_log.writer import LogWriter
from tests.support.polling import wait_until

_APPEND_FOREVER = """
import sys
from pathlib import Path
from inference_log.record import Context, Record
from inference_log.spool import take_seat
from inference_log.writer import LogWriter

seat = take_seat(Path(sys.argv[1]))
writer = LogWriter(seat.folder, "victim")
context = Context(0, "r", "a", "primary", "split", 1, "h", {"a": 1.0}, "m", "1", "d")


def record(number, sequence):
    return Record(number, sequence, f"d{sequence}", 0, 0, "WEIGHTED", 1.0, None, 200, "ok", "", 0, 0, 1, "", "", (), ())


sequence = 0
while True:
    if not writer.append(context, record):
        break
    print(f"d{sequence}", flush=True)
    sequence += 1
    if sequence % 300 == 0:
        writer.rotate(0, 0)
"""


class Spool:
    """A seat with its writer and roller, and a log directory beside them."""

    def __init__(self, root: Path, sink: Sink | None = None, **hooks: Callable[[Path], Any]) -> None:
        self.root = root / "spool"
        self.log = root / "log"
        self.seat: Seat = take_seat(self.root)
        self.folder = self.seat.folder
        self.writer = LogWriter(self.folder, "w")
        self.roller = Shipper(self.root, self.folder, self.writer, sink or DirectorySink(self.log), **hooks)

    def ship(self) -> None:
        self.roller.ship(segments(self.folder))

    def tick_once(self) -> None:
        """What a replica that ends in order does last."""
        stop = threading.Event()
        stop.set()
        self.roller.run(stop, 3600, 1_000_000)

    def shipped(self, column: str = "decision_id") -> list:
        if not list(self.log.rglob("*.parquet")):
            return []
        return sorted(self.table()[column].to_pylist())

    def table(self) -> pa.Table:
        keys = ds.partitioning(pa.schema([("route", pa.string()), ("dt", pa.string())]), flavor="hive")
        return ds.dataset(self.log / "inferences", partitioning=keys).to_table()


class FlakySink:
    """Fails as told on the calls that `faults` names; otherwise a directory."""

    def __init__(self, root: Path, faults: dict[int, Exception]) -> None:
        self._inner, self._faults, self._calls = DirectorySink(root), faults, 0

    def put(self, key: str, content: bytes, segment_sha256: str) -> bool:
        self._calls += 1
        if self._calls in self._faults:
            raise self._faults[self._calls]
        return self._inner.put(key, content, segment_sha256)


@pytest.fixture
def spool(tmp_path):
    held = Spool(tmp_path)
    yield held
    held.seat.release()


def test_a_segment_becomes_parquet_that_two_engines_read_with_its_keys(spool, make_context, make_record):
    for _ in range(3):
        spool.writer.append(make_context(), make_record)
    spool.tick_once()
    assert segments(spool.folder) == []
    assert spool.roller.rows_persisted == 3
    assert spool.shipped() == ["d0", "d1", "d2"]
    assert set(spool.shipped("route")) == {"cancer"}
    assert set(spool.shipped("dt")) == {"2026-01-01"}
    (path,) = (spool.log / "inferences/route=cancer/dt=2026-01-01").iterdir()
    assert path.suffix == ".parquet"
    assert path.name.startswith("w-00000000-")
    pattern = str(spool.log / "inferences/*/*/*.parquet").replace("'", "''")
    rows = duckdb.sql(
        f"SELECT route, dt::VARCHAR, arm, weights['canary'], prediction[2], features_num['radius'], "
        f"epoch_ms(event_ts) FROM read_parquet('{pattern}', hive_partitioning = true) LIMIT 1"
    ).fetchall()
    assert rows == [("cancer", "2026-01-01", "stable", 0.1, 0.75, 1.0, 1_767_268_800_000)]


def test_the_active_segment_is_not_shipped(spool, tmp_path, make_context, make_record, write_segment):
    spool.writer.append(make_context(), make_record)
    write_segment(spool.folder, [make_context()], [make_record(writer_seq=9)], 9)
    stop = threading.Event()
    running = threading.Thread(target=spool.roller.run, args=(stop, 3600, 1_000_000, 0.001))
    running.start()
    wait_until(lambda: spool.shipped() == ["d9"], shows=spool.shipped)
    assert segments(spool.folder) == [spool.writer.active_path]
    stop.set()
    running.join()
    assert spool.shipped() == ["d0", "d9"]


def test_a_crash_between_put_and_delete_gives_each_row_once(spool, make_context, make_record, write_segment):
    path = write_segment(spool.folder, [make_context()], [make_record(writer_seq=index) for index in range(4)])
    content = path.read_bytes()
    spool.ship()
    path.write_bytes(content)  # as if the process had died just before it was deleted
    spool.ship()
    assert not path.exists()
    assert spool.shipped() == ["d0", "d1", "d2", "d3"]
    assert spool.roller.failures == 0


def test_another_segment_of_the_same_name_is_another_file(spool, make_context, make_record, write_segment):
    write_segment(spool.folder, [make_context()], [make_record(writer_seq=1)])
    spool.ship()
    write_segment(spool.folder, [make_context()], [make_record(writer_seq=2)])
    spool.ship()
    assert spool.shipped() == ["d1", "d2"]


def test_rubbish_under_the_key_keeps_the_segment_and_the_next_one_ships(
    spool, make_context, make_record, write_segment
):
    first = write_segment(spool.folder, [make_context()], [make_record(writer_seq=1)], 1)
    content = first.read_bytes()
    spool.ship()
    (shipped,) = spool.log.rglob("*.parquet")
    shipped.write_bytes(b"rubbish")
    first.write_bytes(content)
    write_segment(spool.folder, [make_context(route="other")], [make_record(writer_seq=2)], 2)
    spool.ship()
    assert segments(spool.folder) == [first]
    assert first.read_bytes() == content
    assert spool.roller.failures == 1
    assert len(list(spool.log.rglob("route=other/**/*.parquet"))) == 1


def test_other_rows_under_the_key_keep_the_segment(spool, make_context, make_record, write_segment):
    one = write_segment(spool.folder, [make_context()], [make_record(writer_seq=1)])
    content = one.read_bytes()
    spool.ship()
    (shipped,) = spool.log.rglob("*.parquet")
    write_segment(spool.folder, [make_context(route="other")], [make_record(writer_seq=2)] * 2)
    spool.ship()
    (other,) = spool.log.rglob("route=other/**/*.parquet")
    shipped.write_bytes(other.read_bytes())
    one.write_bytes(content)
    spool.ship()
    assert segments(spool.folder) == [one]
    assert spool.roller.failures == 1


@pytest.mark.parametrize("fault", [SinkConflict("taken"), SinkUnavailable("down")])
def test_a_sink_that_fails_keeps_the_segment_and_the_next_one_ships(
    tmp_path, make_context, make_record, write_segment, fault
):
    spool = Spool(tmp_path, FlakySink(tmp_path / "log", {1: fault}))
    kept = write_segment(spool.folder, [make_context()], [make_record(writer_seq=1)], 1)
    write_segment(spool.folder, [make_context()], [make_record(writer_seq=2)], 2)
    spool.ship()
    assert segments(spool.folder) == [kept]
    assert (spool.roller.failures, spool.shipped()) == (1, ["d2"])
    spool.ship()
    assert segments(spool.folder) == []
    assert spool.shipped() == ["d1", "d2"]
    spool.seat.release()


def test_a_row_that_is_stored_once_is_counted_once(tmp_path, make_context, make_record, write_segment):
    spool = Spool(tmp_path, FlakySink(tmp_path / "log", {2: SinkUnavailable("down")}))
    contexts = [make_context(number=0, route="a"), make_context(number=1, route="b")]
    write_segment(spool.folder, contexts, [make_record(context=0, writer_seq=0), make_record(context=1, writer_seq=1)])
    spool.ship()
    spool.ship()
    spool.seat.release()
    assert spool.shipped() == ["d0", "d1"]
    assert spool.roller.rows_persisted == 2


def test_poison_is_set_aside_and_the_next_one_ships(spool, make_context, make_record, write_segment):
    poison = write_segment(spool.folder, [], [make_record(context=7)], 1)  # refers to a context that is not there
    content = poison.read_bytes()
    write_segment(spool.folder, [make_context()], [make_record(writer_seq=2)], 2)
    spool.ship()
    assert segments(spool.folder) == []
    assert (spool.root / DEAD_LETTER / poison.name).read_bytes() == content
    assert spool.shipped() == ["d2"]
    assert spool.roller.failures == 1
    spool.tick_once()
    assert spool.roller.failures == 1  # not retried for ever


def test_a_segment_that_cannot_be_read_does_not_hold_up_the_others(spool, make_context, make_record, write_segment):
    (spool.folder / "w-00000000.segment").mkdir()  # stands for a bad sector: reading it fails
    write_segment(spool.folder, [make_context()], [make_record(writer_seq=2)], 2)
    spool.ship()
    assert spool.shipped() == ["d2"]


def test_a_torn_segment_ships_what_is_whole(spool, make_context, make_record, write_segment):
    path = write_segment(spool.folder, [make_context()], [make_record(writer_seq=index) for index in range(3)])
    path.write_bytes(path.read_bytes()[:-5])
    spool.ship()
    assert spool.shipped() == ["d0", "d1"]
    assert segments(spool.folder) == []


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 4096, frame(SegmentHeader("w", 0)), frame(SegmentHeader("w", 0))[:-1]]
)
def test_a_segment_without_records_is_deleted(spool, content):
    (spool.folder / "w-00000000.segment").write_bytes(content)
    spool.ship()
    assert segments(spool.folder) == []
    assert spool.roller.failures == 0
    assert not (spool.root / DEAD_LETTER).exists()


def test_abandoned_seats_are_shipped_and_held_ones_are_not(spool, make_context, make_record, write_segment):
    left, held = take_seat(spool.root), take_seat(spool.root)
    write_segment(left.folder, [make_context()], [make_record(writer_seq=1)], 1)
    kept = write_segment(held.folder, [make_context()], [make_record(writer_seq=2)], 2)
    left.release()
    spool.tick_once()
    assert spool.shipped() == ["d1"]
    assert (segments(left.folder), segments(held.folder)) == ([], [kept])
    held.release()
    spool.tick_once()
    assert spool.shipped() == ["d1", "d2"]


def test_two_rollers_at_once_ship_each_row_once(tmp_path, make_context, make_record, write_segment):
    left = take_seat(tmp_path / "spool")
    for index in range(12):
        write_segment(left.folder, [make_context()], [make_record(writer_seq=index)], index)
    left.release()
    seat = take_seat(tmp_path / "spool")  # keeps seat 0 out of the race, then gives it up
    spools = [Spool(tmp_path), Spool(tmp_path)]
    seat.release()
    threads = [threading.Thread(target=spool.tick_once) for spool in spools]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert spools[0].shipped("writer_seq") == list(range(12))
    for spool in spools:
        assert spool.roller.failures == 0
        spool.seat.release()


def test_what_was_appended_before_a_kill_is_shipped_by_the_next_one(tmp_path):
    spool_root = tmp_path / "spool"
    command = [sys.executable, "-c", _APPEND_FOREVER, spool_root]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        answered = [victim.stdout.readline().strip() for _ in range(1000)]
        victim.kill()
        answered += [line.strip() for line in victim.stdout if line.endswith("\n")]
    assert answered == [f"d{index}" for index in range(len(answered))]
    heir = Spool(tmp_path)
    heir.tick_once()
    shipped = heir.shipped()
    assert len(shipped) == len(set(shipped))
    assert set(answered) <= set(shipped)
    assert len(shipped) - len(answered) <= 1  # appended, but killed before it could say so
    heir.seat.release()


class CountingSink(DirectorySink):
    """Counts what it is offered."""

    offered = 0

    def put(self, key: str, content: bytes, segment_sha256: str) -> bool:
        self.offered += 1
        return super().put(key, content, segment_sha256)


def test_a_segment_that_may_not_be_deleted_stays_and_is_made_into_parquet_once(
    tmp_path, make_context, make_record, write_segment
):
    sink, allowed, gone = CountingSink(tmp_path / "log"), set[Path](), list[Path]()
    spool = Spool(tmp_path, sink, may_delete=lambda path: path in allowed, deleted=gone.append)
    first = write_segment(spool.folder, [make_context()], [make_record(writer_seq=1)], 1)
    second = write_segment(spool.folder, [make_context()], [make_record(writer_seq=2)], 2)
    allowed.add(second)
    for _ in range(3):
        spool.ship()
    assert (segments(spool.folder), gone, sink.offered) == ([first], [second], 2)
    allowed.add(first)
    spool.ship()
    assert (segments(spool.folder), gone, sink.offered) == ([], [second, first], 2)
    assert spool.shipped() == ["d1", "d2"]
    assert (spool.roller.rows_persisted, spool.roller.failures) == (2, 0)
    spool.seat.release()


def test_a_segment_that_stayed_is_offered_again_by_the_next_process_and_stored_once(
    tmp_path, make_context, make_record, write_segment
):
    first = Spool(tmp_path, may_delete=lambda _: False)
    write_segment(first.folder, [make_context()], [make_record()])
    first.ship()
    first.seat.release()
    heir = Spool(tmp_path)
    heir.ship()
    assert (segments(heir.folder), heir.shipped(), heir.roller.rows_persisted) == ([], ["d0"], 0)
    heir.seat.release()


def test_a_segment_is_gone_before_it_is_said_to_be_and_in_parquet_before_it_is_asked_for(
    tmp_path, make_context, make_record, write_segment
):
    told: list[tuple[str, bool, list]] = []
    spool = Spool(
        tmp_path,
        may_delete=lambda path: told.append(("asked", path.exists(), spool.shipped())) is None,
        deleted=lambda path: told.append(("gone", path.exists(), spool.shipped())),
    )
    write_segment(spool.folder, [make_context()], [make_record()])
    spool.ship()
    assert told == [("asked", True, ["d0"]), ("gone", False, ["d0"])]
    spool.seat.release()


def test_a_segment_that_is_set_aside_is_not_asked_for(tmp_path, make_record, write_segment):
    asked: list[Path] = []
    spool = Spool(tmp_path, may_delete=lambda path: asked.append(path) is None)
    write_segment(spool.folder, [], [make_record(context=7)])
    spool.ship()
    assert (asked, segments(spool.folder)) == ([], [])
    spool.seat.release()


def test_changes_become_parquet_by_day(spool, make_audit, write_segment):
    midnight_us = 1_767_268_800_000_000 + 12 * 3_600_000_000
    changes = [make_audit(1, at_us=midnight_us - 1), make_audit(2, at_us=midnight_us), make_audit(3, at_us=midnight_us)]
    write_segment(spool.folder, [], changes)
    spool.ship()
    assert segments(spool.folder) == []
    by_day = {path.parent.name: pq.ParquetFile(path).read().to_pylist() for path in spool.log.glob("audit/*/*.parquet")}
    assert {day: [row["number"] for row in rows] for day, rows in by_day.items()} == {
        "dt=2026-01-01": [1],
        "dt=2026-01-02": [2, 3],
    }
    assert spool.roller.rows_persisted == 3
