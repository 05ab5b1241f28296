"""Days are closed, counted, opened again by late rows, and closed once more."""

import json

import pytest

from inference_log.completeness.close import close_day
from inference_log.completeness.marker import marker_key
from inference_log.completeness.notes import read_notes
from inference_log.completeness.state import NotClosed, is_closed, require_closed
from inference_log.errors import LogUnavailable
from inference_log.files.directory import DirectoryFiles
from inference_log.query import run_query
from inference_log.spool import DEAD_LETTER
from tests.unit.inference_log.completeness.support import DAY, DAY_US, NEXT_MORNING_US, NOON_US, rows

CLOSED = (
    "SELECT route, inferences, rewards, writers, lost, late, away FROM closed WHERE dt = '2026-03-01' ORDER BY route"
)


def closed(machine, tmp_path) -> list[tuple]:
    return run_query(DirectoryFiles(tmp_path / "log"), tmp_path / "none", CLOSED)[1]


def test_a_day_is_closed_once_its_segments_are_shipped(machine, tmp_path):
    here = machine()
    here.log([*rows(0, 1, 2), *rows(3, 4, route="ranker")])
    here.say()
    assert "it waits for here" in close_day(here.files, DAY, here.now_us).why
    with pytest.raises(NotClosed, match="pointsman log close --day 2026-03-01"):
        require_closed(here.files, DAY)
    here.ship()
    here.say()
    assert close_day(here.files, DAY, here.now_us).why == ""
    require_closed(here.files, DAY)
    assert closed(here, tmp_path) == [("fraud", 3, 0, 1, 0, 0, 0), ("ranker", 2, 0, 1, 0, 0, 0)]
    marker = json.loads((tmp_path / "log" / marker_key(DAY)).read_text())
    assert marker == {"closed_us": here.now_us, "late_files": 0, "away": []}


def test_what_came_after_the_close_opens_the_day_and_is_counted(machine, tmp_path):
    here, other = machine(), machine("other")
    here.log(rows(0, 1))
    other.log(rows(0, 1, 2), writer="w-2")
    here.ship()
    here.say()
    close_day(here.files, DAY, here.now_us)
    other.ship()
    assert not is_closed(here.files, DAY)
    assert [note.rows for note in read_notes(here.files, DAY)] == [3]
    other.say()
    assert close_day(here.files, DAY, here.now_us).late_files == 1
    assert is_closed(here.files, DAY)
    assert closed(here, tmp_path) == [("fraud", 5, 0, 2, 0, 3, 0)]


def test_a_note_that_cannot_be_left_keeps_the_segment(machine, monkeypatch):
    here = machine()
    here.say()
    close_day(here.files, DAY, here.now_us)
    path = here.log(rows(0))

    def fail(*_: object) -> None:
        raise LogUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(here.files, "write", fail)
        here.ship()
    assert path.exists()
    assert here.shipper.set_aside == 0
    here.now_us += 60_000_000
    here.ship()
    assert not path.exists()
    assert len(read_notes(here.files, DAY)) == 1


def test_a_machine_whose_clock_jumps_back_a_day_opens_it_until_that_day_is_over(machine):
    here = machine()
    here.ship()
    here.say()
    close_day(here.files, DAY, here.now_us)
    here.now_us -= DAY_US
    here.log(rows(0, at_us=here.now_us))
    here.say()
    assert "it waits for here" in close_day(here.files, DAY, NEXT_MORNING_US).why
    here.now_us += DAY_US  # the clock is right again
    here.ship()
    here.say()
    assert not is_closed(here.files, DAY)
    assert close_day(here.files, DAY, here.now_us).late_files == 1


def test_a_machine_that_stopped_in_order_is_not_waited_for_and_one_that_left_segments_is(machine):
    here, other = machine(), machine("other")
    other.now_us = NOON_US
    other.log(rows(0, at_us=NOON_US - 60))
    other.say(is_last=True)
    here.say()
    assert "it waits for other" in close_day(here.files, DAY, here.now_us).why
    other.ship()
    other.say(is_last=True)
    assert close_day(here.files, DAY, here.now_us).why == ""


def test_a_machine_that_never_comes_back_is_given_up_after_a_day_and_named(machine, tmp_path):
    here, other = machine(), machine("other")
    other.now_us = NOON_US
    other.log(rows(0, 1))
    other.say()
    here.log(rows(5))
    here.ship()
    here.say()
    here.now_us += DAY_US // 2
    here.say()
    assert close_day(here.files, DAY, here.now_us).away == ("other",)
    assert closed(here, tmp_path) == [("fraud", 1, 0, 1, 0, 0, 1)]


def test_force_closes_what_no_machine_spoke_of(machine, tmp_path):
    here = machine()
    here.log(rows(0))
    here.ship()
    assert "no machine" in close_day(here.files, DAY, here.now_us).why
    assert close_day(here.files, DAY, here.now_us, force=True).why == ""
    assert closed(here, tmp_path) == [("fraud", 1, 0, 1, 0, 0, 0)]


def test_a_day_is_not_closed_before_it_is_over(machine):
    here = machine()
    here.now_us = NOON_US
    here.say()
    assert "it is not over" in close_day(here.files, DAY, NOON_US).why


def test_a_segment_that_was_set_aside_is_told_and_keeps_no_day_open(machine):
    here = machine()
    path = here.log(rows(0))
    folder = here.spool / DEAD_LETTER
    folder.mkdir()
    path.rename(folder / path.name)
    here.say()
    content = json.loads(here.files.read("_watermarks/here.json"))
    assert (content["set_aside"], content["waiting"]) == (1, 0)
    assert close_day(here.files, DAY, here.now_us).why == ""


def test_damaged_notes_are_named(machine):
    here = machine()
    here.files.write("_watermarks/other.json", b"{")
    with pytest.raises(LogUnavailable, match=r"other\.json is damaged"):
        close_day(here.files, DAY, here.now_us)
