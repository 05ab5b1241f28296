"""What a writer has appended is put once, in order, and only what was put is acknowledged."""

import pytest

from inference_log.errors import SinkUnavailable
from inference_log.file_names import part_of
from inference_log.segment import read_segment
from inference_log.spool import DEAD_LETTER
from inference_log.strict.acknowledge import PUT_FOR_S, Acknowledger, Question, Reply, marker_of
from inference_log.writer import LogWriter
from tests.unit.inference_log.conftest import NOON_US


class Place:
    """A second place, and a writer whose rows go there."""

    def __init__(self, root, make_context, make_record) -> None:
        self.folder = root / "0"
        self.folder.mkdir()
        self.writer = LogWriter(self.folder, "host-0-1")
        self.parts: dict[str, bytes] = {}
        self.fails = ""
        self.now_s = NOON_US / 1e6
        self.acknowledger = self.next_process()
        self._context, self._make_record = make_context(), make_record

    def next_process(self) -> Acknowledger:
        self.acknowledger = Acknowledger(self.folder, "host-0-1", self.put, lambda: self.now_s)
        return self.acknowledger

    def put(self, key: str, content: bytes) -> None:
        if self.fails:
            raise SinkUnavailable(self.fails)
        assert key not in self.parts
        self.parts[key] = content

    def append(self, count: int = 1) -> None:
        for _ in range(count):
            assert self.writer.append(self._context, lambda number, seq: self._make_record(number, seq))

    def ask(self, first: int | None = None) -> Reply:
        last, end = self.writer.position
        return self.acknowledger.answer(Question(last if first is None else first, last, end))

    def rows(self, segment: str = "host-0-1-00000000") -> int:
        """Return how many rows of a segment are whole in the second place."""
        named = sorted((part_of(key)[1:], content) for key, content in self.parts.items() if part_of(key)[0] == segment)
        ends = [end for (_, end), _ in named]
        assert [begin for (begin, _), _ in named] == [0, *ends][: len(ends)]
        read = read_segment(b"".join(content for _, content in named))
        return 0 if read is None else len(read.records)


@pytest.fixture
def place(tmp_path, make_context, make_record) -> Place:
    return Place(tmp_path, make_context, make_record)


def test_all_that_was_appended_is_one_part(place):
    place.append(3)
    assert place.ask() == Reply(0, place.writer.position[1])
    assert (len(place.parts), place.rows()) == (1, 3)
    place.append(2)
    place.ask()
    assert (len(place.parts), place.rows()) == (2, 5)


def test_what_was_put_is_not_put_again(place):
    place.append()
    assert place.ask() == place.ask()
    assert len(place.parts) == 1


def test_the_next_process_goes_on_where_the_last_one_ended(place):
    place.append()
    place.ask()
    place.append()
    place.next_process()
    place.ask()
    assert (len(place.parts), place.rows()) == (2, 2)


def test_a_process_that_does_not_know_how_far_it_is_puts_all_again(place):
    place.append()
    place.ask()
    marker_of(place.folder / "host-0-1-00000000.segment").write_text("")
    place.append()
    place.next_process()
    assert not place.ask().trouble
    assert {part_of(key)[1] for key in place.parts} == {0}


def test_a_part_that_was_not_taken_is_no_acknowledgement_and_is_put_later(place):
    place.append()
    place.fails = "SlowDown."
    assert place.ask() == Reply(0, 0, "SlowDown.")
    place.fails = ""
    place.append()
    assert place.ask() == Reply(0, place.writer.position[1])
    assert (len(place.parts), place.rows()) == (1, 2)


def test_the_rows_of_a_request_may_be_in_two_segments(place):
    place.append()
    place.ask()
    place.append()
    place.writer.rotate(0.0, 0)
    place.append()
    assert not place.ask(first=0).trouble
    assert place.rows() == 2
    assert place.rows("host-0-1-00000001") == 1


def test_a_segment_that_its_writer_has_left_is_put_up_to_its_last_row_though_it_is_not_cut_yet(place):
    place.append()
    end = place.writer.position[1]
    place.acknowledger.answer(Question(0, 1, 0))
    assert [part_of(key)[1:] for key in place.parts] == [(0, end)]


def test_a_segment_that_was_shipped_meanwhile_is_in_the_second_place(place):
    place.append()
    place.writer.close()
    (place.folder / "host-0-1-00000000.segment").unlink()
    assert not place.ask().trouble
    assert place.parts == {}


@pytest.mark.parametrize("where", ["0/host-0-1-00000000~rest.segment", f"{DEAD_LETTER}/host-0-1-00000000.segment"])
def test_a_segment_that_was_damaged_or_set_aside_is_not(place, where):
    place.append()
    place.writer.close()
    (place.folder.parent / DEAD_LETTER).mkdir()
    (place.folder / "host-0-1-00000000.segment").rename(place.folder.parent / where)
    assert "was set aside" in place.ask().trouble


def test_a_segment_that_is_old_gets_no_part_since_its_first_ones_may_be_removed(place):
    place.append()
    place.now_s += PUT_FOR_S - 1
    assert not place.ask().trouble
    place.append()
    place.now_s += 2
    assert "SEGMENT_MAX_AGE_S" in place.ask().trouble


def test_nothing_was_appended(place):
    assert not place.ask().trouble
    assert place.parts == {}
