"""Seats: the lowest free one is taken, and its lock ends with the process that holds it."""

import subprocess
import sys

from inference_log.spool import all_segments, held_seats, segments, take_seat

_HOLD = """
import sys, time
from pathlib import Path
from inference_log.spool import take_seat
seat = take_seat(Path(sys.argv[1]))
print(seat.number, flush=True)
time.sleep(60)
"""


def test_seats_are_taken_from_the_lowest(tmp_path):
    first, second = take_seat(tmp_path), take_seat(tmp_path)
    assert (first.number, second.number) == (0, 1)
    assert (first.folder, second.folder) == (tmp_path / "0", tmp_path / "1")
    first.release()
    again = take_seat(tmp_path)
    assert again.number == 0
    again.release()
    second.release()


def test_held_seats_are_those_with_a_living_owner(tmp_path):
    first, second = take_seat(tmp_path), take_seat(tmp_path)
    assert held_seats(tmp_path) == {0, 1}
    first.release()
    assert held_seats(tmp_path) == {1}
    second.release()
    assert held_seats(tmp_path) == set()


def test_no_spool_has_no_seats_and_no_segments(tmp_path):
    assert held_seats(tmp_path / "none") == set()
    assert all_segments(tmp_path / "none") == []


def test_a_seat_is_free_when_its_owner_is_killed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", _HOLD, tmp_path], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "0\n"
        assert held_seats(tmp_path) == {0}
        owner.kill()
    assert held_seats(tmp_path) == set()


def test_segments_are_listed_oldest_first_even_if_their_seat_is_held(tmp_path):
    seat = take_seat(tmp_path)
    for name in ("w-00000002.segment", "w-00000001.segment", "notes.txt"):
        (seat.folder / name).touch()
    for folder in ("dead-letter", "companion"):
        (tmp_path / folder).mkdir()
    (tmp_path / "companion" / "v-00000000.segment").touch()
    (tmp_path / "dead-letter" / "w-00000000.segment").touch()
    assert [path.name for path in segments(seat.folder)] == ["w-00000001.segment", "w-00000002.segment"]
    assert all_segments(tmp_path) == [*segments(seat.folder), *segments(tmp_path / "companion")]
    seat.release()
