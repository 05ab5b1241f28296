"""Shipping: each segment is shipped once, kept, or set aside, and a segment that fails does not stop the others."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from structlog.testing import capture_logs

from inference_log import segment_lock
from inference_log import writer as writer_module
from inference_log.converter import Converted, Outcome
from inference_log.errors import SinkConflict, SinkUnavailable
from inference_log.local_converter import LocalConverter
from inference_log.record import SegmentHeader
from inference_log.segment import frame
from inference_log.ship import Shipper
from inference_log.sinks import Sink
from inference_log.sinks.directory import DirectorySink
from inference_log.spool import DEAD_LETTER, Seat, segments, take_seat
from inference_log.writer import LogWriter
from tests.unit.inference_log.conftest import NOON_US

DAY_US = 86_400_000_000

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
    """A seat with its writer and shipper, and a log directory."""

    def __init__(self, root: Path, sink: Sink | None = None, **hooks: Callable[[Path], Any]) -> None:
        self.root = root / "spool"
        self.log = root / "log"
        self.seat: Seat = take_seat(self.root)
        self.folder = self.seat.folder
        self.writer = LogWriter(self.folder, "w")
        self.now_s = time.time()
        converter = LocalConverter(sink or DirectorySink(self.log))
        self.shipper = Shipper(self.root, converter, now=lambda: self.now_s, **hooks)

    def ship(self) -> None:
        self.shipper.ship(segments(self.folder))

    def tick_once(self) -> None:
        """Ship everything, as it is done when the last replica stops in good order."""
        self.writer.close()
        self.shipper.tick()

    def shipped(self, column: str = "decision_id") -> list:
        if not list(self.log.rglob("*.parquet")):
            return []
        return sorted(self.table()[column].to_pylist())

    def table(self) -> pa.Table:
        keys = ds.partitioning(pa.schema([("route", pa.string()), ("dt", pa.string())]), flavor="hive")
        return ds.dataset(self.log / "inferences", partitioning=keys).to_table()


class FlakySink:
    """A directory that raises on the calls whose numbers are in `faults`."""

    puts_at_once = 1

    def __init__(self, root: Path, faults: dict[int, Exception]) -> None:
        self._inner, self._faults, self._calls = DirectorySink(root), faults, 0

    def staging_path(self, key: str, segment_sha256: str) -> Path:
        return self._inner.staging_path(key, segment_sha256)

    def put(self, key: str, staged: Path, segment_sha256: str) -> bool:
        self._calls += 1
        if self._calls in self._faults:
            raise self._faults[self._calls]
        return self._inner.put(key, staged, segment_sha256)


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
    assert spool.shipper.rows_persisted == 3
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
    spool.shipper.tick()
    assert spool.shipped() == ["d9"]
    assert segments(spool.folder) == [spool.writer.active_path]
    spool.tick_once()
    assert spool.shipped() == ["d0", "d9"]


def test_a_crash_between_put_and_delete_gives_each_row_once(spool, make_context, make_record, write_segment):
    path = write_segment(spool.folder, [make_context()], [make_record(writer_seq=index) for index in range(4)])
    content = path.read_bytes()
    spool.ship()
    path.write_bytes(content)  # as if the process had died just before it deleted the file
    spool.ship()
    assert not path.exists()
    assert spool.shipped() == ["d0", "d1", "d2", "d3"]
    assert spool.shipper.failures == 0


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
    assert spool.shipper.failures == 1
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
    assert spool.shipper.failures == 1


@pytest.mark.parametrize("fault", [SinkConflict("taken"), SinkUnavailable("down")])
def test_a_sink_that_fails_keeps_the_segment_and_the_next_one_ships(
    tmp_path, make_context, make_record, write_segment, fault
):
    spool = Spool(tmp_path, FlakySink(tmp_path / "log", {1: fault}))
    kept = write_segment(spool.folder, [make_context()], [make_record(writer_seq=1)], 1)
    write_segment(spool.folder, [make_context()], [make_record(writer_seq=2)], 2)
    spool.ship()
    assert segments(spool.folder) == [kept]
    assert (spool.shipper.failures, spool.shipped()) == (1, ["d2"])
    spool.now_s += 3600
    spool.ship()
    assert segments(spool.folder) == []
    assert spool.shipped() == ["d1", "d2"]
    spool.seat.release()


def test_a_row_that_is_stored_once_is_counted_once(tmp_path, make_context, make_record, write_segment):
    spool = Spool(tmp_path, FlakySink(tmp_path / "log", {2: SinkUnavailable("down")}))
    contexts = [make_context(number=0, route="a"), make_context(number=1, route="b")]
    write_segment(spool.folder, contexts, [make_record(context=0, writer_seq=0), make_record(context=1, writer_seq=1)])
    spool.ship()
    spool.now_s += 60
    spool.ship()
    spool.seat.release()
    assert spool.shipped() == ["d0", "d1"]
    assert spool.shipper.rows_persisted == 2


def test_poison_is_set_aside_and_the_next_one_ships(spool, make_context, make_record, write_segment):
    poison = write_segment(
        spool.folder, [], [make_record(context=7)], 1
    )  # refers to a context that is not in the segment
    content = poison.read_bytes()
    write_segment(spool.folder, [make_context()], [make_record(writer_seq=2)], 2)
    spool.ship()
    assert segments(spool.folder) == []
    assert (spool.root / DEAD_LETTER / poison.name).read_bytes() == content
    assert spool.shipped() == ["d2"]
    assert spool.shipper.failures == 1
    spool.tick_once()
    assert spool.shipper.failures == 1  # it is not tried again


def test_a_segment_that_cannot_be_read_does_not_hold_up_the_others(spool, make_context, make_record, write_segment):
    (spool.folder / "w-00000000.segment").mkdir()  # reading it fails, as with a bad sector
    write_segment(spool.folder, [make_context()], [make_record(writer_seq=2)], 2)
    spool.ship()
    assert spool.shipped() == ["d2"]


def test_a_torn_segment_ships_what_is_whole(spool, make_context, make_record, write_segment):
    path = write_segment(spool.folder, [make_context()], [make_record(writer_seq=index) for index in range(3)])
    path.write_bytes(path.read_bytes()[:-5])
    spool.ship()
    assert spool.shipped() == ["d0", "d1"]
    assert segments(spool.folder) == []


def test_a_clock_that_jumps_back_a_day_loses_no_row(spool, make_context, make_record, ask):
    times_us = [NOON_US, NOON_US + 1, NOON_US - DAY_US, NOON_US - DAY_US + 1]
    for event_us in times_us:
        spool.writer.append(
            make_context(), lambda context, number, at=event_us: make_record(context, number, event_us=at)
        )
    spool.tick_once()
    assert ask("SELECT dt::VARCHAR, count(*), min(writer_seq) FROM inferences GROUP BY 1 ORDER BY 1")[1] == [
        ("2025-12-31", 2, 2),
        ("2026-01-01", 2, 0),
    ]
    assert spool.shipper.failures == 0


def test_two_writers_with_one_id_replace_nothing_of_each_other(tmp_path, make_context, make_record, ask):
    """As when a machine's image, with its clock, is started twice."""
    for machine in ("one", "two"):
        spool = Spool(tmp_path / machine)
        for _ in range(2):
            spool.writer.append(
                make_context(),
                lambda context, number, name=machine: make_record(context, number, decision_id=f"{name}-{number}"),
            )
        spool.writer.close()
        shipper = Shipper(spool.root, LocalConverter(DirectorySink(tmp_path / "log")))
        shipper.tick()
        assert (shipper.failures, shipper.rows_persisted) == (0, 2)
        spool.seat.release()
    found = ask("SELECT decision_id, writer_id, writer_seq FROM inferences ORDER BY 1")[1]
    assert found == [("one-0", "w", 0), ("one-1", "w", 1), ("two-0", "w", 0), ("two-1", "w", 1)]


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 4096, frame(SegmentHeader("w", 0)), frame(SegmentHeader("w", 0))[:-1]]
)
def test_a_segment_without_records_is_deleted(spool, content):
    (spool.folder / "w-00000000.segment").write_bytes(content)
    spool.ship()
    assert segments(spool.folder) == []
    assert spool.shipper.failures == 0
    assert not (spool.root / DEAD_LETTER).exists()


def test_what_a_process_is_writing_is_left_alone_and_shipped_once_it_is_closed_or_the_process_is_gone(
    spool, make_context, make_record, write_segment
):
    other = LogWriter(spool.root / "1", "other")
    other.folder.mkdir()
    for _ in range(3):
        other.append(make_context(), make_record)
    path = other.active_path
    write_segment(spool.folder, [make_context()], [make_record(writer_seq=7)], 7)
    spool.tick_once()
    assert spool.shipped() == ["d7"]
    assert segments(other.folder) == [path]
    other.append(make_context(), make_record)
    other._active._map.close()
    os.close(other._active.fd)  # as at the end of its process; what it had allocated and not used is zeros
    spool.tick_once()
    assert spool.shipped() == ["d0", "d1", "d2", "d3", "d7"]
    assert segments(other.folder) == []


def test_two_shippers_at_once_ship_each_row_once(tmp_path, make_context, make_record, write_segment):
    spools = [Spool(tmp_path), Spool(tmp_path)]
    for index in range(12):
        write_segment(spools[0].folder, [make_context()], [make_record(writer_seq=index)], index)
    threads = [threading.Thread(target=spool.tick_once) for spool in spools]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert spools[0].shipped("writer_seq") == list(range(12))
    for spool in spools:
        assert spool.shipper.failures == 0
        spool.seat.release()


def test_what_was_appended_before_a_kill_is_shipped_by_the_next_one(tmp_path):
    spool_root = tmp_path / "spool"
    command = [sys.executable, "-c", _APPEND_FOREVER, spool_root]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        appended = [victim.stdout.readline().strip() for _ in range(1000)]
        victim.kill()
        appended += [line.strip() for line in victim.stdout if line.endswith("\n")]
    assert appended == [f"d{index}" for index in range(len(appended))]
    heir = Spool(tmp_path)
    heir.tick_once()
    shipped = heir.shipped()
    assert len(shipped) == len(set(shipped))
    assert set(appended) <= set(shipped)
    assert len(shipped) - len(appended) <= 1  # killed between `append` and `print`
    heir.seat.release()


class CountingSink(DirectorySink):
    """A directory that counts the files it is offered."""

    offered = 0

    def put(self, key: str, staged: Path, segment_sha256: str) -> bool:
        self.offered += 1
        return super().put(key, staged, segment_sha256)


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
    assert (spool.shipper.rows_persisted, spool.shipper.failures) == (2, 0)
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
    assert (segments(heir.folder), heir.shipped(), heir.shipper.rows_persisted) == ([], ["d0"], 0)
    heir.seat.release()


def test_may_delete_is_called_after_the_parquet_is_stored_and_deleted_after_the_segment_is_gone(
    tmp_path, make_context, make_record, write_segment
):
    calls: list[tuple[str, bool, list]] = []
    spool = Spool(
        tmp_path,
        may_delete=lambda path: calls.append(("may delete", path.exists(), spool.shipped())) is None,
        deleted=lambda path: calls.append(("deleted", path.exists(), spool.shipped())),
    )
    write_segment(spool.folder, [make_context()], [make_record()])
    spool.ship()
    assert calls == [("may delete", True, ["d0"]), ("deleted", False, ["d0"])]
    spool.seat.release()


def test_may_delete_is_not_called_for_a_segment_that_is_set_aside(tmp_path, make_record, write_segment):
    checked: list[Path] = []
    spool = Spool(tmp_path, may_delete=lambda path: checked.append(path) is None)
    write_segment(spool.folder, [], [make_record(context=7)])
    spool.ship()
    assert (checked, segments(spool.folder)) == ([], [])
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
    assert spool.shipper.rows_persisted == 3


class FailingSink(DirectorySink):
    """A directory where each file raises `error`, while there is one."""

    error: BaseException | None

    def put(self, key: str, staged: Path, segment_sha256: str) -> bool:
        if self.error is not None:
            raise self.error
        return super().put(key, staged, segment_sha256)


class DeadlyConverter:
    """Its process ends with each segment, as when memory runs out."""

    def convert(self, *_: object) -> Converted:
        return Converted(Outcome.FAILED, sentence="Its process ended (signal 9)")


def test_a_segment_that_ends_its_converter_three_times_is_set_aside_and_the_others_ship(
    tmp_path, make_context, make_record, write_segment
):
    """The count is on disk: each shipper begins with what those before it have noted."""
    spool = Spool(tmp_path)
    path = write_segment(spool.folder, [make_context()], [make_record(writer_seq=1)], 1)
    with capture_logs() as lines:
        for hour in range(3):
            assert path.exists()
            Shipper(spool.root, DeadlyConverter(), now=lambda: spool.now_s + 3600 * hour).tick()  # noqa: B023
    write_segment(spool.folder, [make_context()], [make_record(writer_seq=2)], 2)
    for _ in range(3):
        spool.tick_once()
    aside = spool.root / DEAD_LETTER / path.name
    kept = ("inference_log.segment.kept", path.name)
    assert [(line["event"], line["segment"]) for line in lines] == [
        kept, kept, ("inference_log.segment.set_aside", str(aside))
    ]  # fmt: skip
    assert "docs/operating.md" in lines[-1]["advice"]
    assert (spool.shipped(), segments(spool.folder)) == (["d2"], [])
    assert sorted(each.name for each in spool.folder.iterdir()) == ["lock"]
    aside.rename(spool.folder / aside.name)  # as docs/operating.md says
    spool.tick_once()
    assert spool.shipped() == ["d1", "d2"]
    spool.seat.release()


def test_a_process_that_is_killed_while_it_converts_does_not_count_against_the_segment(
    spool, make_context, make_record, write_segment
):
    """An operator or a node may kill the companion at any time: three kills set a healthy segment aside."""

    class Killed(BaseException):
        """Stands for the death of the process: nothing catches it."""

    class KilledConverter:
        def convert(self, *_: object) -> Converted:
            raise Killed

    write_segment(spool.folder, [make_context()], [make_record(writer_seq=1)], 1)
    for _ in range(5):
        with pytest.raises(Killed):
            Shipper(spool.root, KilledConverter()).tick()
    spool.tick_once()
    assert spool.shipped() == ["d1"]


@pytest.mark.parametrize("error", [MemoryError(), pa.ArrowInvalid("odd"), SinkConflict("taken")], ids=repr)
def test_a_segment_that_fails_three_times_is_set_aside(tmp_path, make_context, make_record, write_segment, error):
    sink = FailingSink(tmp_path / "log")
    sink.error = error
    spool = Spool(tmp_path, sink)
    path = write_segment(spool.folder, [make_context()], [make_record()])
    for failures in (1, 2):
        for _ in range(5):  # one try, and then a pause
            spool.ship()
        assert (segments(spool.folder), spool.shipper.failures, spool.shipper.set_aside) == ([path], failures, 0)
        spool.now_s += 3600
    spool.ship()
    spool.ship()
    assert (segments(spool.folder), spool.shipper.failures, spool.shipper.set_aside) == ([], 3, 1)
    assert (spool.root / DEAD_LETTER / path.name).exists()
    assert list(spool.log.rglob("*.parquet*")) == []
    spool.seat.release()


@pytest.mark.parametrize("error", [SinkUnavailable("down"), OSError("No space left on device.")], ids=repr)
def test_a_disk_or_sink_that_fails_is_no_fault_of_the_segment(
    tmp_path, make_context, make_record, write_segment, error
):
    sink = FailingSink(tmp_path / "log")
    sink.error = error
    spool = Spool(tmp_path, sink)
    path = write_segment(spool.folder, [make_context()], [make_record()])
    for _ in range(10):
        spool.ship()
        spool.ship()  # at once: it is not tried
        spool.now_s += 60
    assert (segments(spool.folder), spool.shipper.failures, spool.shipper.set_aside) == ([path], 10, 0)
    assert spool.shipper.failed == {"disk": 10}
    assert spool.shipper.trouble == str(error)
    sink.error = None
    spool.ship()
    assert (segments(spool.folder), spool.shipper.trouble) == ([], "")
    spool.seat.release()


class CountingConverter:
    """Stores nothing while `code` is set, and says which segments it was asked for."""

    def __init__(self) -> None:
        self.code = "SlowDown"
        self.asked: list[str] = []

    def convert(self, path: Path, expired: Callable[[], bool]) -> Converted:  # noqa: ARG002  # of the Protocol
        self.asked.append(path.name[2:10].lstrip("0") or "0")
        if self.code:
            return Converted(Outcome.UNAVAILABLE, sentence="down", code=self.code)
        return Converted(Outcome.STORED, rows=1)


def test_of_a_backlog_few_are_tried_while_the_sink_takes_none(tmp_path, make_context, make_record, write_segment):
    """Each try converts a segment anew, on a machine that serves."""
    now_s, converter = 1000.0, CountingConverter()
    shipper = Shipper(tmp_path, converter, now=lambda: now_s)
    for number in range(9):
        write_segment(tmp_path / "0", [make_context()], [make_record()], number)
    shipper.tick()
    shipper.tick()
    assert converter.asked == ["0", "1", "2"]
    for _ in range(600):
        now_s += 1.0
        shipper.tick()
    assert len(converter.asked) < 3 * 600 / 20
    assert shipper.failed == {"SlowDown": len(converter.asked)}
    converter.code, converter.asked = "", []
    for _ in range(40):  # a pause is at most 37.5 s
        now_s += 1.0
        shipper.tick()
    assert sorted(converter.asked) == list("012345678")


def test_the_last_tick_waits_for_no_pause(tmp_path, make_context, make_record, write_segment):
    converter = CountingConverter()
    shipper = Shipper(tmp_path, converter, now=lambda: 1000.0)
    for number in range(5):
        write_segment(tmp_path / "0", [make_context()], [make_record()], number)
    shipper.tick()
    converter.code = ""
    shipper.tick(is_last=True)
    assert segments(tmp_path / "0") == []


def test_many_segments_that_are_never_taken_do_not_hold_up_those_behind_them(
    tmp_path, make_context, make_record, write_segment
):
    """As when a policy denies the prefix of one route."""

    class ManyRefused(CountingConverter):
        def convert(self, path: Path, expired: Callable[[], bool]) -> Converted:
            self.code = "AccessDenied" if path.name < "w-00000020" else ""
            return super().convert(path, expired)

    now_s = 1000.0
    shipper = Shipper(tmp_path, ManyRefused(), now=lambda: now_s)
    paths = [write_segment(tmp_path / "0", [make_context()], [make_record()], number) for number in range(25)]
    for _ in range(400):
        now_s += 1.0
        shipper.tick()
    assert segments(tmp_path / "0") == paths[:20]


def test_a_segment_that_is_not_taken_does_not_hold_up_those_that_are(
    tmp_path, make_context, make_record, write_segment
):
    class OneRefused(CountingConverter):
        def convert(self, path: Path, expired: Callable[[], bool]) -> Converted:
            self.code = "AccessDenied" if "00000001" in path.name else ""
            return super().convert(path, expired)

    converter = OneRefused()
    shipper = Shipper(tmp_path, converter, now=lambda: 1000.0)
    paths = [write_segment(tmp_path / "0", [make_context()], [make_record()], number) for number in range(6)]
    for _ in range(5):
        shipper.tick()
    assert segments(tmp_path / "0") == [paths[1]]
    assert converter.asked == list("012345")


def test_a_shipper_that_has_to_end_stops_at_the_next_piece_and_the_segment_is_not_to_blame(
    tmp_path, make_context, make_record, write_segment
):
    """A backlog held up the end of a replica for as long as it took to convert all of it."""
    spool = Spool(tmp_path)
    paths = [
        write_segment(
            spool.folder, [make_context()], [make_record(writer_seq=index * 3 + each) for each in range(3)], index
        )
        for index in range(3)
    ]
    asked = iter([False, False, False, True, True])  # before the first segment, its piece, the second one, its piece
    spool.shipper.ship(paths, lambda: next(asked))
    asked = iter([False, True, True] * 5)
    for _ in range(5):
        spool.shipper.ship(paths[1:], lambda: next(asked))
    assert segments(spool.folder) == paths[1:]
    assert spool.shipped("writer_seq") == [0, 1, 2]
    assert [path for path in spool.log.rglob("*") if path.is_file() and path.suffix != ".parquet"] == []
    assert spool.shipper.failures == 0
    spool.tick_once()
    assert spool.shipped("writer_seq") == list(range(9))
    assert sorted(each.name for each in spool.folder.iterdir()) == ["lock"]
    spool.seat.release()


def test_memory_that_is_short_for_a_minute_sets_no_segment_aside(spool, make_context, make_record, write_segment):
    """Each converter was killed by the kernel, and all waiting segments were set aside within three seconds."""
    for index in range(5):
        write_segment(spool.folder, [make_context()], [make_record(writer_seq=index)], index)
    short = Shipper(spool.root, DeadlyConverter(), now=lambda: spool.now_s)
    for _ in range(30):
        short.tick()
        spool.now_s += 2
    assert not (spool.root / DEAD_LETTER).exists()
    assert short.failures <= 10
    spool.now_s += 600
    spool.tick_once()
    assert spool.shipped("writer_seq") == list(range(5))


def test_the_next_segment_of_a_name_is_not_taken_for_one_that_a_full_disk_has_ended(
    tmp_path, make_context, make_record, monkeypatch
):
    """The file of a segment that cannot be opened is gone before its lock is: nothing can claim it."""
    spool, claims = Spool(tmp_path), []
    full = Mock(side_effect=OSError("No space left on device."))

    def close(fd: int) -> None:
        claims.extend(segments(spool.folder))
        real(fd)

    real = os.close
    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", full)
        patched.setattr(writer_module.os, "close", close)
        assert spool.writer.append(make_context(), make_record) is False
    assert (claims, segments(spool.folder)) == ([], [])
    spool.seat.release()


def test_a_path_that_has_become_another_file_is_not_claimed(spool, make_context, make_record, write_segment):
    path = write_segment(spool.folder, [make_context()], [make_record()])
    real = segment_lock._lock

    def replace_meanwhile(fd: int) -> bool:
        path.unlink()
        path.write_bytes(b"of the next writer")
        return real(fd)

    with patch.object(segment_lock, "_lock", replace_meanwhile), segment_lock.claimed(path) as is_closed:
        assert not is_closed
