"""Parquet that is written piece by piece holds the same rows, in the same files, as if it were written at once."""

import threading
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from inference_log import conversion as conversion_module
from inference_log.conversion import Conversion
from inference_log.converter import Outcome
from inference_log.errors import SinkUnavailable
from inference_log.files.directory import DirectoryFiles
from inference_log.local_converter import LocalConverter
from inference_log.pieces import PieceLimits, read_pieces, written_end
from inference_log.query import run_query
from inference_log.record import SegmentHeader
from inference_log.rows import partition_rows
from inference_log.segment import frame, read_segment
from inference_log.sinks.directory import DirectorySink
from tests.support.polling import PATIENCE_S

DAY_US = 86_400_000_000


@pytest.fixture
def segment(tmp_path, make_context, make_record, make_audit, write_segment) -> Path:
    """Return a segment of two routes, two days and 40 records, with contexts and changes between them."""
    entries, contexts = [], [make_context(number=0), make_context(number=1, route="digits")]
    for number in range(40):
        if number == 20:
            entries.append(contexts[1])
        rows = number % 7
        entries.append(
            make_record(
                context=0 if number < 20 else number % 2,
                writer_seq=number,
                event_us=1_767_268_800_000_000 + (DAY_US if number > 35 else 0) - number,
                batch_size=rows,
                inputs=(np.arange(rows * 2, dtype="<f4"),),
                outputs=(np.arange(rows), np.arange(rows, dtype="<f4")),
            )
        )
        if number % 9 == 0:
            entries.append(make_audit(number))
    return write_segment(tmp_path / "spool" / "0", contexts[:1], entries)


def convert(path: Path, log: Path, limits: PieceLimits) -> int:
    rows: list[int] = []
    Conversion(path, DirectorySink(log), limits).run(lambda: False, rows.append)
    return sum(rows)


def files_of(log: Path) -> dict[str, list[dict]]:
    paths = [path for path in log.rglob("*") if path.is_file()]
    return {str(path.relative_to(log)): pq.ParquetFile(path).read().to_pylist() for path in paths}


def by_time(rows: list[dict]) -> list[dict]:
    return sorted(rows, key=lambda row: (row.get("event_ts_us", 0), row.get("inference_id", row.get("number"))))


LIMITS = [
    PieceLimits(rows=1),
    PieceLimits(rows=10),
    PieceLimits(stored_bytes=1),
    PieceLimits(stored_bytes=1000),
    PieceLimits(values=1),
    PieceLimits(values=40),
]


@pytest.mark.parametrize("limits", LIMITS, ids=str)
def test_pieces_hold_every_entry_once_in_order(segment, limits):
    whole = read_segment(segment.read_bytes())
    assert whole is not None
    pieces = list(read_pieces(segment, limits))
    assert len(pieces) > 4
    assert [record for piece in pieces for record in piece.records] == whole.records
    assert [audit for piece in pieces for audit in piece.audits] == whole.audits
    assert pieces[-1].contexts == whole.contexts
    assert {piece.header for piece in pieces} == {whole.header}


@pytest.mark.parametrize("limits", LIMITS, ids=str)
def test_files_have_the_rows_and_names_of_one_piece(segment, tmp_path, limits):
    rows = convert(segment, tmp_path / "pieces", limits)
    assert convert(segment, tmp_path / "whole", PieceLimits()) == rows
    pieces, whole = files_of(tmp_path / "pieces"), files_of(tmp_path / "whole")
    assert len(whole) == 5  # the route digits has no change and its own days
    assert pieces.keys() == whole.keys()
    for name, stored in whole.items():
        assert by_time(pieces[name]) == by_time(stored)
    found = {
        f"{partition.path}/{name}": rows.to_pylist()
        for partition, rows in partition_rows(read_segment(segment.read_bytes())).items()
        for name in {Path(each).name for each in whole}
    }
    assert {name: by_time(rows) for name, rows in whole.items()} == {
        name: by_time(rows) for name, rows in found.items()
    }


def test_the_same_segment_again_is_no_new_row(segment, tmp_path):
    assert convert(segment, tmp_path / "log", PieceLimits(rows=10)) > 0
    before = files_of(tmp_path / "log")
    assert convert(segment, tmp_path / "log", PieceLimits(rows=10)) == 0
    assert convert(segment, tmp_path / "log", PieceLimits(rows=7)) == 0
    assert files_of(tmp_path / "log") == before


def test_more_partitions_than_files_may_be_open_take_several_readings(segment, tmp_path, monkeypatch):
    convert(segment, tmp_path / "whole", PieceLimits())
    monkeypatch.setattr(conversion_module, "MAX_OPEN_FILES", 2)
    convert(segment, tmp_path / "groups", PieceLimits(rows=10))
    groups, whole = files_of(tmp_path / "groups"), files_of(tmp_path / "whole")
    assert {name: by_time(rows) for name, rows in groups.items()} == {
        name: by_time(rows) for name, rows in whole.items()
    }


class SlowSink(DirectorySink):
    """A directory whose files take as long as it takes until `puts_at_once` of them are being put."""

    puts_at_once = 5

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.together = threading.Barrier(5)
        self.fails = ""

    def put(self, key: str, staged: Path, segment_sha256: str) -> bool:
        if self.fails in key:
            self.together.wait(PATIENCE_S)
        if self.fails and self.fails in key:
            raise SinkUnavailable("down")
        return super().put(key, staged, segment_sha256)


def test_several_files_are_put_at_once_and_each_is_a_sign_of_life(segment, tmp_path):
    """The segment has five files. S3 that takes a second for each would hold up a thousand routes otherwise."""
    rows, asked = [], []
    Conversion(segment, SlowSink(tmp_path / "log")).run(lambda: bool(asked.append(1)), rows.append)
    assert len(rows) == len(list((tmp_path / "log").rglob("*.parquet"))) == 5
    assert len(asked) == 1 + 5


def test_once_a_file_has_failed_no_other_is_begun_and_nothing_is_left_behind(segment, tmp_path):
    sink, rows = SlowSink(tmp_path / "log"), []
    sink.together, sink.fails = threading.Barrier(1), "route="
    with pytest.raises(SinkUnavailable):
        Conversion(segment, sink).run(lambda: False, rows.append)
    files = [path for path in (tmp_path / "log").rglob("*") if path.is_file()]
    assert len(files) == len(rows) <= 1  # that of the changes, which has no route
    sink.fails = "nothing"
    Conversion(segment, sink).run(lambda: False, rows.append)
    assert len(rows) == 5


def test_a_thread_that_cannot_be_started_is_too_little_memory(segment, tmp_path, monkeypatch):
    """And no fault of the segment, which would be set aside for it at once."""

    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    converted = LocalConverter(DirectorySink(tmp_path / "log")).convert(segment, lambda: False)
    assert (converted.outcome, converted.code) == (Outcome.FAILED, "MemoryError")


def test_sql_reads_files_of_many_row_groups(segment, tmp_path):
    convert(segment, tmp_path / "log", PieceLimits(rows=1))
    groups = [pq.ParquetFile(path).num_row_groups for path in (tmp_path / "log").rglob("*.parquet")]
    assert max(groups) > 10
    segment.unlink()
    sql = "SELECT count(DISTINCT decision_id), sum(features_num['texture']) FROM inferences"
    rows, texture = run_query(DirectoryFiles(tmp_path / "log"), tmp_path / "spool", sql)[1][0]
    assert (rows, texture) == (40, sum(sum(range(1, number % 7 * 2, 2)) for number in range(40)))


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_a_torn_end_is_counted_and_what_is_whole_is_read(segment, cut):
    segment.write_bytes(segment.read_bytes()[:-cut])
    whole = read_segment(segment.read_bytes())
    assert whole is not None
    *_, last = pieces = list(read_pieces(segment, PieceLimits(rows=10)))
    assert sum(len(piece.records) for piece in pieces) == len(whole.records)
    assert last.torn_bytes == whole.torn_bytes > 0


@pytest.mark.parametrize("zeros", [0, 1, 7, 8, 9, 5_000_000])
def test_space_that_was_not_used_is_not_torn(segment, zeros):
    written = segment.stat().st_size
    segment.write_bytes(segment.read_bytes() + b"\0" * zeros)
    *_, last = read_pieces(segment)
    assert (last.torn_bytes, written_end(segment)) == (0, written)


@pytest.mark.parametrize("content", [b"", b"\0" * 9000, b"\xff" * 9000, frame(SegmentHeader("w", 0))[:-1]])
def test_without_a_header_there_are_no_pieces(tmp_path, content):
    path = tmp_path / "w.segment"
    path.write_bytes(content)
    assert list(read_pieces(path)) == []
