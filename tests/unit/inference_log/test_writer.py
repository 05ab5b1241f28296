"""The writer on the request path: every record that it reports as written can be read, and it never raises."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

from inference_log import segment_lock
from inference_log import writer as writer_module
from inference_log.disk_bound import Shed
from inference_log.payload import Body, Payload
from inference_log.pieces import written_end
from inference_log.record import Record
from inference_log.segment import Segment, frame, read_segment
from inference_log.spool import segments
from inference_log.writer import MAX_BYTES, LogWriter
from tests.support.polling import PATIENCE_S
from tests.unit.inference_log.support import is_open

_LIMITED = """
import resource, signal, sys, json
from pathlib import Path
from inference_log.record import Context, Record
from inference_log.writer import LogWriter

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit is then short, or fails with EFBIG
folder, limit = Path(sys.argv[1]), int(sys.argv[2])
context = Context(0, "r", "a", "primary", "split", 1, "h", {"a": 1.0}, "m", "1", "d")


def record(number, sequence):
    return Record(number, sequence, f"d{sequence}", 0, 0, "WEIGHTED", 1.0, None, 200, "ok", "", 0, 0, 1, "", "",
                  (b"x" * int(sys.argv[3]),), ())


writer = LogWriter(folder, "w")
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
full = [writer.append(context, record) for _ in range(8)]
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
again = [writer.append(context, record) for _ in range(2)]
print(json.dumps({"full": full, "again": again, "appended": writer.appended, "dropped": writer.dropped}))
"""


def read(path: Path) -> Segment:
    segment = read_segment(path.read_bytes())
    assert segment is not None
    return segment


def sequences(read_records: Sequence[Record]) -> list[int]:
    return [record.writer_seq for record in read_records]


@pytest.fixture
def writer(tmp_path) -> LogWriter:
    return LogWriter(tmp_path, "w")


def test_numbers_are_dense_over_all_segments(writer, tmp_path, make_context, make_record):
    context = make_context()
    for _ in range(3):
        assert writer.append(context, make_record)
        assert writer.append(context, make_record)
        assert writer.rotate(0, 0) is not None
    found = [record for path in segments(tmp_path) for record in read(path).records]
    assert sequences(found) == [0, 1, 2, 3, 4, 5]
    assert [read(path).header.sequence for path in segments(tmp_path)] == [0, 1, 2]
    assert (writer.appended, writer.dropped) == (6, 0)


def test_a_record_is_readable_when_append_returns(writer, make_context, make_record):
    writer.append(make_context(), make_record)
    assert writer.active_path is not None
    assert sequences(read(writer.active_path).records) == [0]


def test_a_context_is_written_once_per_segment(writer, tmp_path, make_context, make_record):
    one, two = make_context(arm="stable"), make_context(arm="canary")
    for context in (one, two, one, two):
        writer.append(context, make_record)
    writer.rotate(0, 0)
    writer.append(two, make_record)
    first, second = (read(path) for path in segments(tmp_path))
    assert {number: context.arm for number, context in first.contexts.items()} == {0: "stable", 1: "canary"}
    assert [record.context for record in first.records] == [0, 1, 0, 1]
    assert {number: context.arm for number, context in second.contexts.items()} == {0: "canary"}
    assert [record.context for record in second.records] == [0]
    assert segments(tmp_path)[0].read_bytes().count(b"d" * 64) == 2  # only contexts have the digest


def test_a_context_that_is_gone_is_not_mistaken_for_a_new_one(writer, tmp_path, make_context, make_record):
    for index in range(200):
        writer.append(
            make_context(arm=f"arm{index}"), make_record
        )  # each context may be garbage-collected when append returns
    segment = read(segments(tmp_path)[0])
    assert [segment.contexts[record.context].arm for record in segment.records] == [f"arm{i}" for i in range(200)]


def test_a_segment_is_closed_when_it_is_old_or_large_enough(writer, make_context, make_record):
    assert writer.rotate(0, 0) is None  # no segment is open
    writer.append(make_context(), make_record)
    active = writer.active_path
    assert writer.rotate(3600, 1_000_000) is None
    assert writer.rotate(3600, 10) == active
    assert writer.active_path is None
    writer.append(make_context(), make_record)
    assert writer.rotate(0, 1_000_000) is not None


def test_sixty_four_requests_of_15_mb_at_once_leave_no_segment_above_the_limit_and_one_record(
    tmp_path, make_context, make_record
):
    """Nothing but `append` runs: a thread that looks once a second would come too late."""
    limit, body = 64 * 1024 * 1024, b"x" * 15_000_000
    record = make_record(inputs=())
    record = msgspec.structs.replace(record, inputs=(body,))
    largest = len(frame(record)) + len(frame(make_context()))
    writer, context, sizes = LogWriter(tmp_path, "w", limit), make_context(), []
    for _ in range(64):
        assert writer.append(context, lambda *_: record)
        for path in segments(tmp_path):
            if path != writer.active_path:
                sizes.append(written_end(path))
                writer.rotate(3600, 2 * limit)
                path.unlink()  # the disk of a small machine should do
    assert len(sizes) == 12
    assert max(sizes) <= limit + largest


def test_a_full_segment_is_left_by_append_and_closed_later(tmp_path, make_context, make_record):
    writer, context = LogWriter(tmp_path, "w", 2000), make_context()
    for _ in range(60):
        assert writer.append(context, make_record)
    listed = segments(tmp_path)
    assert len(listed) > 3
    assert all(map(is_open, listed))  # they have allocated more than they hold, so none may be shipped
    written = {path: len(path.read_bytes().rstrip(b"\0")) for path in listed}
    writer.rotate(3600, 1_000_000)
    assert [path for path in listed if is_open(path)] == [writer.active_path] == [listed[-1]]
    assert all(written[path] <= path.stat().st_size <= written[path] + 8 for path in listed[:-1])
    assert all(2000 <= path.stat().st_size < 2000 + 1000 for path in listed[:-1])
    assert [number for path in listed for number in sequences(read(path).records)] == list(range(60))
    assert [read(path).header.sequence for path in listed] == list(range(len(listed)))


def test_changes_fill_a_segment_like_records(tmp_path, make_audit):
    writer = LogWriter(tmp_path, "w", 1024)
    for number in range(20):
        assert writer.note(make_audit(number, document="x" * 500))
    assert len(segments(tmp_path)) == 10
    assert [audit.number for path in segments(tmp_path) for audit in read(path).audits] == list(range(20))


def test_a_next_segment_that_cannot_be_opened_drops_and_is_tried_again(tmp_path, make_context, make_record):
    folder = tmp_path / "spool"
    folder.mkdir()
    writer, context = LogWriter(folder, "w", 100), make_context()
    assert writer.append(context, make_record)
    folder.rename(tmp_path / "gone")
    assert writer.append(context, make_record) is False
    (tmp_path / "gone").rename(folder)
    assert writer.append(context, make_record)
    assert [sequences(read(path).records) for path in segments(folder)] == [[0], [2]]
    assert (writer.appended, writer.dropped) == (2, 1)


def test_a_segment_whose_disk_fails_is_closed_all_the_same(tmp_path, make_context, make_record, monkeypatch):
    writer = LogWriter(tmp_path, "w")
    writer.append(make_context(), make_record)

    def fail(fd: int, size: int) -> None:
        raise OSError("The disk fails.")

    with monkeypatch.context() as patched:
        patched.setattr(writer_module.os, "ftruncate", fail)
        with pytest.raises(OSError, match="The disk fails"):
            writer.rotate(0, 0)
    assert not is_open(segments(tmp_path)[0])
    assert sequences(read(segments(tmp_path)[0]).records) == [0]


@pytest.mark.parametrize("max_bytes", [MAX_BYTES, 3000])
def test_four_threads_and_rotation_give_every_record_once(tmp_path, make_context, make_record, max_bytes):
    writer = LogWriter(tmp_path, "w", max_bytes)
    contexts = [make_context(arm=f"arm{index}") for index in range(4)]
    each, rotated, done = 1500, threading.Event(), threading.Event()

    def append(context) -> None:
        for number in range(each):
            if number == each // 2:
                assert rotated.wait(PATIENCE_S)
            assert writer.append(context, make_record)

    def rotate() -> None:
        while not done.is_set():
            if writer.rotate(0, 0) is not None:
                rotated.set()

    threads = [threading.Thread(target=append, args=(context,)) for context in contexts]
    rotating = threading.Thread(target=rotate)
    for thread in (*threads, rotating):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    rotating.join()

    found = [read(path) for path in segments(tmp_path)]
    assert len(found) > 1
    assert sorted(record.writer_seq for segment in found for record in segment.records) == list(range(4 * each))
    for context in contexts:
        arms = [segment.contexts[record.context].arm for segment in found for record in segment.records]
        assert arms.count(context.arm) == each
    assert all(segment.torn_bytes == 0 for segment in found)


def run_on_a_small_disk(folder: Path, limit: int, record_bytes: int) -> dict[str, Any]:
    command = [sys.executable, "-c", _LIMITED, folder, str(limit), str(record_bytes)]
    finished = subprocess.run(command, capture_output=True, check=True)
    report: dict[str, Any] = json.loads(finished.stdout)
    return report


def test_a_full_disk_is_counted_and_leaves_a_readable_segment(tmp_path):
    report = run_on_a_small_disk(tmp_path, limit=5_000_000, record_bytes=1_000_000)
    written = report["full"].count(True)
    assert 0 < written < 8
    assert report["again"] == [True, True]
    assert (report["appended"], report["dropped"]) == (written + 2, 8 - written)
    (path,) = segments(tmp_path)
    assert read(path).torn_bytes == 0
    assert sequences(read(path).records) == [*range(written), 8, 9]  # the gap shows how many were lost
    assert {len(record.inputs[0]) for record in read(path).records} == {1_000_000}


@pytest.mark.parametrize(
    ("shed", "kept", "reasons"),
    [
        (Shed.NOTHING, [0, 1], {}),
        (Shed.PAYLOADS, [0, 1], {}),
        (Shed.BEST_EFFORT, [1], {"best_effort": 1}),
        (Shed.ALL, [], {"bound": 2}),
    ],
)
def test_what_is_shed_is_counted_by_reason_and_leaves_a_gap(writer, make_context, make_record, shed, kept, reasons):
    contexts = [make_context(is_best_effort=True), make_context()]
    writer.leaves_out = shed
    written = [writer.append(context, make_record) for context in contexts]
    writer.leaves_out = Shed.NOTHING
    assert writer.append(contexts[0], make_record)
    assert sequences(read(segments(writer.folder)[0]).records) == [*kept, 2]
    assert written == [number in kept for number in (0, 1)]
    assert writer.dropped_by == {"disk": 0, "bound": 0, "best_effort": 0, **reasons}
    assert (writer.appended, writer.dropped) == (len(kept) + 1, 2 - len(kept))


def test_changes_are_noted_whatever_is_shed(writer, make_audit):
    writer.leaves_out = Shed.ALL
    assert writer.note(make_audit())


def test_a_disk_that_is_full_from_the_start_drops_and_recovers(tmp_path):
    report = run_on_a_small_disk(tmp_path, limit=10, record_bytes=100)
    assert report["full"] == [False] * 8
    assert report["dropped"] == 8
    (path,) = segments(tmp_path)
    assert sequences(read(path).records) == [8, 9]
    assert len(read(path).contexts) == 1


def test_a_record_may_be_larger_than_what_is_allocated_at_once(writer, make_context, make_record):
    large = np.zeros(3_000_000, "<f4")
    for _ in range(2):
        writer.append(make_context(), lambda number, sequence: make_record(number, sequence, inputs=(large,)))
    path = writer.rotate(0, 0)
    assert path is not None
    assert [len(record.inputs[0]) for record in read(path).records] == [12_000_000, 12_000_000]


def test_a_closed_segment_holds_nothing_but_frames(writer, make_context, make_record):
    writer.append(make_context(), make_record)
    path = writer.rotate(0, 0)
    assert path is not None
    assert not path.read_bytes().endswith(b"\0" * 16)


def test_a_folder_that_is_gone_drops_and_counts(tmp_path, make_context, make_record):
    writer = LogWriter(tmp_path / "gone", "w")
    assert writer.append(make_context(), make_record) is False
    (tmp_path / "gone").mkdir()
    assert writer.append(make_context(), make_record) is True
    assert (writer.appended, writer.dropped) == (1, 1)
    assert sequences(read(segments(tmp_path / "gone")[0]).records) == [1]


def test_a_change_is_noted_beside_the_records_and_spends_no_number(writer, make_context, make_record, make_audit):
    assert writer.note(make_audit(1))  # also before the first record
    writer.append(make_context(), make_record)
    assert writer.note(make_audit(2))
    writer.append(make_context(), make_record)
    segment = read(writer.active_path)
    assert segment.audits == [make_audit(1), make_audit(2)]
    assert sequences(segment.records) == [0, 1]
    assert (writer.appended, writer.dropped) == (2, 0)


def test_a_change_that_cannot_be_noted_is_said_so_and_may_be_tried_again(tmp_path, make_audit):
    writer = LogWriter(tmp_path / "gone", "w")
    assert writer.note(make_audit()) is False
    (tmp_path / "gone").mkdir()
    assert writer.note(make_audit()) is True
    assert read(segments(tmp_path / "gone")[0]).audits == [make_audit()]


def test_what_is_written_of_a_segment_is_less_than_its_file_while_it_is_active(writer, make_context, make_record):
    writer.append(make_context(), make_record)
    path = writer.active_path
    assert path is not None
    assert is_open(path)
    written_bytes = written_end(path)
    assert written_bytes < path.stat().st_size
    writer.rotate(0, 0)
    assert not is_open(path)
    assert written_bytes <= path.stat().st_size < written_bytes + 8  # a frame may end in zeros


def test_a_segment_is_locked_before_it_can_be_found(tmp_path, make_context, make_record, monkeypatch):
    """The companion ships every segment that is not locked."""
    opened, gate, found = threading.Event(), threading.Event(), []
    link = os.link

    def slowly(unnamed, path):
        found.extend(segments(tmp_path))
        link(unnamed, path)
        found.append(is_open(path))
        opened.set()
        gate.wait(PATIENCE_S)

    monkeypatch.setattr(segment_lock.os, "link", slowly)
    writer = LogWriter(tmp_path, "w")
    appending = threading.Thread(target=writer.append, args=(make_context(), lambda *_: make_record()))
    appending.start()
    assert opened.wait(PATIENCE_S)
    assert found == [True]
    gate.set()
    appending.join()
    assert [each.name for each in tmp_path.iterdir()] == [writer.active_path.name]


def test_a_segment_that_is_there_already_is_not_replaced(tmp_path, make_context, make_record):
    (tmp_path / "w-00000000.segment").write_bytes(b"of another writer")
    writer = LogWriter(tmp_path, "w")
    assert writer.append(make_context(), make_record) is False
    assert (tmp_path / "w-00000000.segment").read_bytes() == b"of another writer"


def test_the_lock_of_a_killed_writer_is_free(tmp_path):
    script = _LIMITED.replace("print(json", "import time; print('open', flush=True); time.sleep(60); print(json")
    command = [sys.executable, "-c", script, tmp_path, "100000000", "10"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"open\n"
        (path,) = segments(tmp_path)
        assert is_open(path)
        writer.kill()
        writer.wait()
    assert not is_open(path)


def payload(size: int) -> Payload:
    return Payload("r", "d", 0, "v2", 200, Body(b"x" * size, size), Body(b"", 0))


def test_bodies_take_at_most_half_of_a_segment(tmp_path, make_context, make_record):
    writer = LogWriter(tmp_path, "w", max_bytes=10_000)
    assert [writer.keep(payload(1000)) for _ in range(6)] == [True] * 4 + [False] * 2
    assert writer.append(make_context(), make_record)  # rows have the other half
    assert writer.shed == 2
    path = writer.rotate(0, 0)
    assert len(read_segment(path.read_bytes()).payloads) == 4
    assert writer.keep(payload(1000))  # in the next one
    writer.close()


def test_bodies_are_the_first_to_go_when_the_disk_is_nearly_full(tmp_path, monkeypatch, make_context, make_record):
    disk = SimpleNamespace(f_bavail=1, f_frsize=4096)
    monkeypatch.setattr(writer_module.os, "statvfs", lambda _: disk)
    writer = LogWriter(tmp_path, "w")
    assert not writer.keep(payload(10))
    assert writer.append(make_context(), make_record)
    assert (writer.shed, writer.dropped, writer.appended) == (1, 0, 1)
    writer.close()


def test_bodies_leave_no_gap_in_the_numbers_of_records(tmp_path, make_context, make_record):
    writer = LogWriter(tmp_path, "w")
    for _ in range(2):
        writer.append(make_context(), make_record)
        writer.keep(payload(10))
    path = writer.rotate(0, 0)
    assert [record.writer_seq for record in read_segment(path.read_bytes()).records] == [0, 1]


def test_the_position_is_behind_all_that_was_appended_also_once_a_segment_is_left(tmp_path, make_context, make_record):
    writer, context = LogWriter(tmp_path, "w"), make_context()
    assert (writer.position, writer.next_number) == ((-1, 0), 0)
    assert writer.append(context, make_record)
    number, end = writer.position
    assert (number, writer.next_number) == (0, 0)
    writer.rotate(0.0, 0)
    assert (writer.position, writer.next_number) == ((0, end), 1)
    assert (tmp_path / "w-00000000.segment").stat().st_size == end
    assert writer.append(context, make_record)
    assert writer.position == (1, writer.position[1])
    writer.close()
