"""Rows of a lost machine are stored once, also if recovery is run twice, and if the machine ships them after all."""

from pathlib import Path

import pytest

from inference_log.converter import Converted, Outcome
from inference_log.errors import LogUnavailable
from inference_log.file_names import part_key
from inference_log.files.directory import DirectoryFiles
from inference_log.local_converter import LocalConverter
from inference_log.sinks.directory import DirectorySink
from inference_log.strict.acknowledge import marker_of
from inference_log.strict.clean import CleaningConverter
from inference_log.strict.parts import parts_by_segment
from inference_log.strict.recover import KEEP_S, Recovered, Recovery, State
from inference_log.writer import LogWriter
from tests.unit.inference_log.conftest import NOON_US

SEGMENT = "lost-0-1-00000000"
ROWS = "SELECT writer_seq FROM inferences ORDER BY 1"


class Lost:
    """A machine that put a part of its segment after each row, and a log."""

    def __init__(self, root: Path, make_context, make_record, rows: int = 5) -> None:
        (root / "disk").mkdir()
        self.files, self.sink = DirectoryFiles(root / "log"), DirectorySink(root / "log")
        self.folder = root / "recovered"
        self.folder.mkdir()
        self.counted: list[tuple[str, bool]] = []
        writer, context = LogWriter(root / "disk", "lost-0-1"), (make_context(), make_context(route="digits"))
        self.ends = [0]
        for number in range(rows):
            writer.append(context[number % 2], make_record)
            self.ends.append(writer.position[1])
        writer.close()
        self.path = root / "disk" / f"{SEGMENT}.segment"

    def put_parts(self, count: int = 5) -> None:
        content = self.path.read_bytes()
        for begin, end in zip(self.ends[:count], self.ends[1 : count + 1], strict=True):
            self.files.write(part_key(SEGMENT, begin, end), content[begin:end])

    def ship(self, rows: int = 5) -> Converted:
        """Ship the segment as its machine would have, if it had had this many rows."""
        shorter = self.path.read_bytes()[: self.ends[rows]]
        path = self.folder.parent / self.path.name
        path.write_bytes(shorter)
        return LocalConverter(self.sink).convert(path, lambda: False)

    def recover(self, age_s: float = 1.0, older_than_s: float = 0.0) -> list[Recovered]:
        def count(path: Path, was_stored: bool) -> None:
            assert path.exists()
            self.counted.append((path.name, was_stored))

        now_us = NOON_US + int(age_s * 1e6)
        found = list(Recovery(self.files, self.sink, self.folder, count, now_us).run(older_than_s))
        assert list(self.folder.iterdir()) == []
        return found

    def has_parts(self) -> bool:
        return bool(parts_by_segment(self.files))


@pytest.fixture
def lost(tmp_path, make_context, make_record) -> Lost:
    return Lost(tmp_path, make_context, make_record)


def test_rows_that_were_put_are_stored_and_counted_and_a_second_run_changes_nothing(lost, ask):
    lost.put_parts(4)
    assert lost.recover() == [Recovered(SEGMENT, State.STORED, rows=4, parts=4)]
    assert ask(ROWS)[1] == [(0,), (1,), (2,), (3,)]
    assert lost.recover() == [Recovered(SEGMENT, State.STORED, rows=0, parts=4)]
    assert ask(ROWS)[1] == [(0,), (1,), (2,), (3,)]
    assert lost.counted == [(f"{SEGMENT}.segment", False), (f"{SEGMENT}.segment", True)]


def test_parts_are_removed_once_no_more_can_come(lost, ask):
    lost.put_parts()
    assert not lost.recover(KEEP_S - 1)[0].removed
    assert lost.has_parts()
    assert lost.recover(KEEP_S + 1) == [Recovered(SEGMENT, State.STORED, rows=0, parts=5, removed=True)]
    assert not lost.has_parts()
    assert lost.recover(KEEP_S + 1) == []
    assert len(ask(ROWS)[1]) == 5


def test_a_machine_that_may_live_ships_its_own(lost):
    lost.put_parts()
    assert [each.state for each in lost.recover(59.0, older_than_s=60.0)] == [State.WAITS]
    assert (lost.files.list("inferences/"), lost.counted) == ([], [])


def test_what_the_machine_ships_after_all_is_there_once_if_it_is_the_same(lost):
    lost.put_parts()
    lost.recover()
    assert lost.ship().rows == 0
    assert len(lost.files.list("inferences/")) == 2


def test_what_the_machine_had_shipped_is_not_stored_again(lost, ask):
    lost.ship(5)
    lost.put_parts(4)
    assert lost.recover() == [Recovered(SEGMENT, State.STORED, rows=0, parts=4)]
    assert len(lost.files.list("inferences/")) == 2
    assert len(ask(ROWS)[1]) == 5
    assert lost.counted == [(f"{SEGMENT}.segment", True)]


def test_of_a_segment_that_was_shipped_in_part_the_rest_is_stored(lost, ask):
    lost.ship(1)
    lost.put_parts(4)
    assert lost.recover()[0].rows == 4
    assert len(lost.files.list("inferences/")) == 3
    assert ask("SELECT count(*), count(DISTINCT writer_seq) FROM inferences")[1] == [(4, 4)]


def test_parts_without_a_beginning_are_removed_only_if_their_segment_is_in_the_log(lost):
    lost.put_parts()
    first = parts_by_segment(lost.files)[SEGMENT][0]
    lost.files.remove(first.key)
    assert lost.recover(2 * KEEP_S) == [Recovered(SEGMENT, State.INCOMPLETE, parts=4)]
    assert lost.has_parts()
    lost.ship()
    assert lost.recover() == [Recovered(SEGMENT, State.STORED, parts=4, removed=True)]
    assert not lost.has_parts()


def test_what_is_behind_a_missing_part_stays(lost, ask):
    lost.put_parts()
    lost.files.remove(parts_by_segment(lost.files)[SEGMENT][2].key)
    (found,) = lost.recover(2 * KEEP_S)
    assert (found.state, found.rows, found.removed) == (State.INCOMPLETE, 2, False)
    assert ask(ROWS)[1] == [(0,), (1,)]
    assert lost.has_parts()


def test_parts_without_a_row_that_can_be_read_stay(lost):
    lost.files.write(part_key(SEGMENT, 0, 20), b"x" * 20)
    assert [each.state for each in lost.recover(2 * KEEP_S)] == [State.FAILED]
    assert lost.has_parts()


def test_parts_that_cannot_be_stored_stay(lost):
    content = bytearray(lost.path.read_bytes())
    content[lost.ends[3] - 5] ^= 1
    lost.path.write_bytes(content)
    lost.put_parts()
    (found,) = lost.recover(2 * KEEP_S)
    assert (found.state, found.rows) == (State.FAILED, 2)
    assert "bytes of it are damaged" in found.sentence
    assert lost.has_parts()


@pytest.mark.parametrize("torn", [0, 7])
def test_what_ships_a_segment_removes_its_parts_unless_damage_has_cut_rows_that_they_have(lost, torn):
    lost.put_parts()
    marker_of(lost.path).touch()
    inner = Fixed(Converted(Outcome.STORED, 5, torn_bytes=torn))
    assert CleaningConverter(inner, lambda: lost.files).convert(lost.path, lambda: False).rows == 5
    assert lost.has_parts() is bool(torn)
    assert not marker_of(lost.path).exists()


def test_the_log_is_not_asked_for_parts_of_a_segment_that_has_none_or_is_not_stored(lost):
    def opened() -> DirectoryFiles:
        raise AssertionError

    CleaningConverter(Fixed(Converted(Outcome.STORED)), opened).convert(lost.path, lambda: False)
    marker_of(lost.path).touch()
    CleaningConverter(Fixed(Converted(Outcome.UNAVAILABLE)), opened).convert(lost.path, lambda: False)
    assert marker_of(lost.path).exists()


def test_parts_that_may_not_be_removed_do_not_keep_the_segment(lost):
    def opened() -> DirectoryFiles:
        raise LogUnavailable("AccessDenied")

    marker_of(lost.path).touch()
    stored = Converted(Outcome.STORED, 5)
    assert CleaningConverter(Fixed(stored), opened).convert(lost.path, lambda: False) == stored


class Fixed:
    """A converter of which the result is known."""

    def __init__(self, result: Converted) -> None:
        self._result = result

    def convert(self, path: Path, expired: object) -> Converted:  # noqa: ARG002  # of the Protocol
        return self._result
