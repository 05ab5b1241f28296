"""What waits in a spool: bytes, segments, and the age of the oldest row."""

import os

import pytest

from inference_log.record import Reward, RewardContext
from inference_log.spool import DEAD_LETTER
from inference_log.waiting import SpoolMeter, Waiting
from inference_log.writer import LogWriter
from tests.unit.inference_log.conftest import NOON_US

NOON_S = NOON_US / 1e6


def test_an_empty_spool_has_nothing(tmp_path):
    assert SpoolMeter(tmp_path).measure() == Waiting()
    with pytest.raises(OSError, match="nowhere"):
        SpoolMeter(tmp_path / "nowhere").measure()


def test_everything_counts_and_segments_are_told_apart(tmp_path, make_context, make_record, write_segment):
    one = write_segment(tmp_path / "0", [make_context()], [make_record()], 0)
    two = write_segment(tmp_path / "companion", [make_context()], [make_record()], 1)
    dead = write_segment(tmp_path / DEAD_LETTER, [make_context()], [make_record()], 2)
    (tmp_path / "staging").mkdir()
    (tmp_path / "staging" / "half").write_bytes(b"x" * 100_000)
    (tmp_path / "waiting.json").write_bytes(b"not counted")
    found = SpoolMeter(tmp_path).measure()
    assert (found.segments, found.segment_bytes) == (2, one.stat().st_size + two.stat().st_size)
    assert (found.set_aside, found.set_aside_bytes) == (1, dead.stat().st_size)
    assert found.total_bytes >= 100_000 + 3 * 512


def test_space_that_is_allocated_counts_while_a_segment_is_written(tmp_path, make_context, make_record):
    (tmp_path / "0").mkdir()
    writer = LogWriter(tmp_path / "0", "w")
    writer.append(make_context(), make_record)
    assert SpoolMeter(tmp_path).measure().total_bytes >= 4 * 1024 * 1024


def test_the_oldest_row_is_that_of_any_segment_by_its_own_time(tmp_path, make_context, make_record, write_segment):
    meter = SpoolMeter(tmp_path)
    newer = write_segment(tmp_path / "0", [make_context()], [make_record(event_us=NOON_US + 9_000_000)], 0)
    assert meter.measure().oldest_s == NOON_S + 9
    older = write_segment(tmp_path / "1", [make_context()], [make_record(), make_record(event_us=NOON_US + 1)], 1)
    os.utime(older)  # it was written to just now
    assert meter.measure().oldest_s == NOON_S
    older.unlink()
    assert meter.measure().oldest_s == NOON_S + 9
    newer.unlink()
    assert meter.measure().oldest_s is None


def test_a_segment_that_gets_its_first_row_later_has_its_time(tmp_path, make_context, make_record, make_audit):
    (tmp_path / "0").mkdir()
    writer, meter = LogWriter(tmp_path / "0", "w"), SpoolMeter(tmp_path)
    writer.note(make_audit())
    assert meter.measure().oldest_s is None  # a change is no row of a request
    writer.append(make_context(), make_record)
    assert meter.measure().oldest_s == NOON_S


def test_a_reward_is_a_row(tmp_path, write_segment):
    context = RewardContext(0, "r", 0, 1, "a", "1", ())
    reward = Reward(0, 0, "d", 0, 0, 1.0, -1, "m", "e", "set", 0, 1.0, NOON_US, False, "http")
    write_segment(tmp_path / "companion", [], [context, reward])
    assert SpoolMeter(tmp_path).measure().oldest_s == NOON_S


def test_rows_that_are_stored_do_not_wait(tmp_path, make_context, make_record, write_segment):
    stored = write_segment(tmp_path / "0", [make_context()], [make_record()], 0)
    found = SpoolMeter(tmp_path, lambda path: path == stored).measure()
    assert (found.segments, found.oldest_s) == (1, None)


def test_a_damaged_segment_is_as_old_as_its_file(tmp_path):
    (tmp_path / "0").mkdir()
    damaged = tmp_path / "0" / "w-0.segment"
    damaged.write_bytes(b"no frame at all, but long enough")
    os.utime(damaged, (7.0, 7.0))
    assert SpoolMeter(tmp_path).measure().oldest_s == 7.0
