"""What is whole behind damage in a segment is found again, counted and shipped; what was cut is counted exactly."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from inference_log.local_converter import LocalConverter
from inference_log.record import SegmentHeader
from inference_log.salvage import Cut, salvage
from inference_log.segment import frame, read_segment
from inference_log.ship import Shipper
from inference_log.sinks.directory import DirectorySink
from inference_log.spool import all_segments

Ship = Callable[..., Shipper]


@pytest.fixture
def frames(make_context, make_record) -> list[bytes]:
    """Return a segment: header, a context, three rows, another context, and three rows that alternate between both."""
    entries = [make_context(number=0), *(make_record(context=0, writer_seq=number) for number in range(3))]
    entries += [make_context(number=1, route="digits")]
    entries += [make_record(context=number % 2, writer_seq=number) for number in range(3, 6)]
    return [frame(SegmentHeader("w", 7)), *map(frame, entries)]


@pytest.fixture
def ship(tmp_path) -> Ship:
    """Return a function that ships a segment with this content, and what it leaves."""

    def run(content: bytes) -> Shipper:
        folder = tmp_path / "spool" / "0"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "w-00000007.segment").write_bytes(content)
        shipper = Shipper(tmp_path / "spool", LocalConverter(DirectorySink(tmp_path / "log")))
        shipper.tick()
        shipper.tick()
        assert all_segments(tmp_path / "spool") == []
        return shipper

    return run


def flipped(content: bytes, at: int) -> bytes:
    damaged = bytearray(content)
    damaged[at] ^= 0x10
    return bytes(damaged)


def test_a_flipped_bit_costs_the_row_that_it_is_in(frames, ship, ask):
    begin = len(b"".join(frames[:3]))
    shipper = ship(flipped(b"".join(frames), begin + 30))
    assert ask("SELECT writer_seq FROM inferences ORDER BY 1")[1] == [(0,), (2,), (3,), (4,), (5,)]
    assert (shipper.cut_bytes, shipper.cut_rows) == (len(frames[3]), 1)
    assert shipper.failures == 0


def test_wherever_one_bit_is_flipped_at_most_the_rows_of_its_frame_are_cut_and_they_are_counted(frames, tmp_path):
    """Also in a length: then the next frame is searched for. Of a context that is cut the rows are, too."""
    whole, path = b"".join(frames), tmp_path / "w-00000007.segment"
    ends = [len(b"".join(frames[: number + 1])) for number in range(len(frames))]
    for at in range(ends[0], len(whole)):  # without the header there is no segment
        path.write_bytes(flipped(whole, at))
        before = read_segment(path.read_bytes())
        cut = salvage(path)
        rest = path.with_name("w-00000007~rest.segment")
        behind = read_segment(rest.read_bytes()).records if rest.exists() else []
        seen = [record.writer_seq for record in (*before.records, *behind)]
        frame_number = next(number for number, end in enumerate(ends) if at < end)
        lost = {1: [0, 1, 2, 4], 2: [0], 3: [1], 4: [2], 5: [3, 5], 6: [3], 7: [4], 8: [5]}[frame_number]
        assert sorted(seen) == [number for number in range(6) if number not in lost], at
        between = [number for number in lost if min(seen) < number < max(seen)]
        assert cut.rows == len(between)
        assert cut.bytes == len(whole) - sum(len(frames[number + 2 + (number > 2)]) for number in seen) - sum(
            len(frames[number]) for number in (0, 1, 5) if number != frame_number
        )
        rest.unlink(missing_ok=True)


@pytest.mark.parametrize("tail", [b"", b"\0" * 4096, b"\x03\x00", b"rest" * 50])
def test_a_torn_end_leaves_no_rest(frames, tmp_path, tail):
    path = tmp_path / "w-00000007.segment"
    path.write_bytes(b"".join(frames) + tail)
    assert salvage(path) == Cut(len(tail.rstrip(b"\0")), 0)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_page_of_zeros_in_the_middle_costs_what_lay_there(frames, tmp_path):
    begin, end = len(b"".join(frames[:3])) + 4, len(b"".join(frames[:5])) + 9
    content = b"".join(frames)
    path = tmp_path / "w-00000007.segment"
    path.write_bytes(content[:begin] + b"\0" * (end - begin) + content[end:])
    salvage(path)
    rest = read_segment((tmp_path / "w-00000007~rest.segment").read_bytes())
    assert [record.writer_seq for record in rest.records] == [4]  # those of the second context are cut with it
    assert rest.header == SegmentHeader("w", 7)


def test_several_damages_are_one_rest(frames, ship, ask):
    content = b"".join(frames)
    for number in (2, 4, 7):
        content = flipped(content, len(b"".join(frames[:number])) + 20)
    shipper = ship(content)
    assert ask("SELECT writer_seq FROM inferences ORDER BY 1")[1] == [(1,), (3,), (5,)]
    assert shipper.cut_rows == 2  # those between the rows that are left


def test_a_crash_before_the_damaged_segment_is_deleted_gives_each_row_once(frames, ship, ask, tmp_path):
    content = flipped(b"".join(frames), len(b"".join(frames[:3])) + 30)
    folder = tmp_path / "spool" / "0"
    folder.mkdir(parents=True)
    (folder / "w-00000007.segment").write_bytes(content)
    salvage(folder / "w-00000007.segment")
    (folder / "w-00000007~rest.new").write_bytes(b"half of another try")
    ship(content)
    assert ask("SELECT writer_seq FROM inferences ORDER BY 1")[1] == [(0,), (2,), (3,), (4,), (5,)]


def test_random_damage_crashes_nothing(frames, tmp_path):
    chance, content = random.Random(5), b"".join(frames)  # noqa: S311  # not for secrets
    path = tmp_path / "w-00000007.segment"
    for _ in range(300):
        damaged = bytearray(content)
        for _ in range(chance.randrange(1, 40)):
            damaged[chance.randrange(len(frames[0]), len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged)
        cut = salvage(path)
        assert 0 < cut.bytes <= len(content)
        rest: Path = tmp_path / "w-00000007~rest.segment"
        if rest.exists():
            assert read_segment(rest.read_bytes()).torn_bytes == 0
            rest.unlink()
