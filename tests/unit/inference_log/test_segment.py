"""Frames: every whole entry is read back, and a frame that was cut or damaged ends the segment."""

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_log.pieces import written_end
from inference_log.record import Audit, Comparison, Context, Record, SegmentHeader
from inference_log.request_slots import packer
from inference_log.segment import SegmentRange, frame, read_range, read_segment
from inference_log.writer import LogWriter

_words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_longs = st.integers(-(2**63), 2**63 - 1)
_blobs = st.lists(st.binary(max_size=9), max_size=3).map(tuple)
_headers = st.builds(SegmentHeader, writer_id=_words, sequence=_longs)
_contexts = st.builds(
    Context,
    number=st.integers(0, 4),
    route=_words,
    arm=_words,
    role=st.sampled_from(["primary", "fallback", "shadow"]),
    policy_kind=_words,
    policy_version=_longs,
    snapshot_hash=_words,
    weights=st.dictionaries(_words, st.floats(allow_nan=False), max_size=2),
    model_name=_words,
    model_version=_words,
    model_digest=_words,
    features=st.lists(_words, max_size=2).map(tuple),
    label=st.none() | st.tuples(st.integers(0, 9), _words),
    slower_than_us=st.lists(st.integers(0, 2**40), max_size=2).map(tuple),
    against=_words,
)
_comparisons = st.builds(
    Comparison, pairs=_longs, flips=_longs, difference=_longs, difference_squared=_longs, delay_us=_longs
)
_records = st.builds(
    Record,
    context=_longs,
    writer_seq=_longs,
    decision_id=_words,
    attempt=_longs,
    event_us=_longs,
    reason=_words,
    propensity=st.none() | st.floats(allow_nan=False),
    unit_hash=st.none() | _words,
    status=_longs,
    outcome=st.sampled_from(["ok", "error", "timeout", "rejected"]),
    error_code=_words,
    latency_us=_longs,
    model_us=_longs,
    batch_size=_longs,
    request_id=_words,
    trace_id=_words,
    inputs=_blobs,
    outputs=_blobs,
    comparison=st.none() | _comparisons,
)
_audits = st.builds(
    Audit,
    number=_longs,
    route=_words,
    version=_longs,
    at_us=_longs,
    who=_words,
    what=_words,
    why=_words,
    by=_words,
    phase=_words,
    weights=st.dictionaries(_words, st.floats(allow_nan=False), max_size=2),
    document=_words,
)


def frames_of(make_context, make_record) -> list[bytes]:
    """Return a segment of four frames: header, context, and two records."""
    entries = (SegmentHeader("w", 0), make_context(), make_record(writer_seq=0), make_record(writer_seq=1))
    return [frame(entry) for entry in entries]


@settings(max_examples=50)
@given(_headers, st.lists(_contexts | _records | _audits, max_size=6))
def test_what_is_written_is_read_back(header, entries):
    segment = read_segment(b"".join(map(frame, (header, *entries))))
    assert segment is not None
    assert segment.header == header
    assert segment.records == [entry for entry in entries if isinstance(entry, Record)]
    assert segment.contexts == {entry.number: entry for entry in entries if isinstance(entry, Context)}
    assert segment.audits == [entry for entry in entries if isinstance(entry, Audit)]
    assert segment.torn_bytes == 0


def test_a_segment_that_was_written_before_there_were_shadows_is_read(make_context, make_record):
    # Fields are only ever added at the end. An entry without them is read with their defaults.
    context = msgspec.json.decode(msgspec.json.encode(make_context()))[:-2]
    record = list(msgspec.structs.astuple(make_record()))[:-1]
    frames = [frame(SegmentHeader("w", 0)), *(frame(each) for each in (context, [2, *record]))]
    segment = read_segment(b"".join(frames))
    assert segment is not None
    assert (segment.contexts, segment.records) == ({0: make_context()}, [make_record()])


def test_a_segment_cut_anywhere_holds_the_whole_records_before_the_cut(make_context, make_record):
    frames = frames_of(make_context, make_record)
    whole = b"".join(frames)
    ends = [sum(map(len, frames[: index + 1])) for index in range(len(frames))]
    for cut in range(len(whole) + 1):
        segment = read_segment(whole[:cut])
        if cut < ends[0]:
            assert segment is None
            continue
        assert segment is not None
        assert [record.writer_seq for record in segment.records] == list(range(sum(end <= cut for end in ends[2:])))
        assert len(segment.contexts) == (cut >= ends[1])
        torn = whole[max(end for end in ends if end <= cut) : cut]
        assert segment.torn_bytes == len(torn.rstrip(b"\0"))


def test_a_flipped_byte_ends_the_segment_at_its_frame(make_context, make_record):
    frames = frames_of(make_context, make_record)
    whole = b"".join(frames)
    third = len(frames[0]) + len(frames[1])
    for offset in range(third, third + len(frames[2])):
        damaged = bytearray(whole)
        damaged[offset] ^= 0x10
        segment = read_segment(bytes(damaged))
        assert segment is not None
        assert segment.records == []
        assert segment.torn_bytes == len(frames[2]) + len(frames[3])


@pytest.mark.parametrize("content", [b"", b"\0" * 7, b"no frame at all"])
def test_without_a_whole_header_there_is_no_segment(content):
    assert read_segment(content) is None


def test_a_record_before_any_header_makes_no_segment(make_record):
    assert read_segment(frame(make_record())) is None


def test_a_frame_of_another_program_is_not_skipped_over():
    body = b"\xc1"  # never valid in MessagePack
    with pytest.raises(Exception, match="MessagePack"):
        read_segment(frame(SegmentHeader("w", 0)) + struct.pack("<II", len(body), zlib.crc32(body)) + body)


def test_zeros_behind_the_last_record_end_the_segment(make_context, make_record):
    # Space that was allocated and not used. A file system may also leave zeros after a power cut.
    whole = b"".join(frames_of(make_context, make_record))
    for zeros in range(20):
        segment = read_segment(whole + b"\0" * zeros)
        assert segment is not None
        assert len(segment.records) == 2
        assert segment.torn_bytes == 0


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=64))
def test_a_record_that_ends_with_the_slots_of_a_request_ends_in_no_zero(slots):
    record = Record(
        0, 1, "d", 0, 2, "WEIGHTED", 0.5, None, 200, "ok", "", 3, 4, 1, "", "", slots=packer(len(slots))(slots)
    )
    whole = frame(SegmentHeader("w", 0)) + frame(record)
    assert whole[-1] != 0
    segment = read_segment(whole + b"\0" * 20)
    assert segment is not None
    assert (segment.records, segment.torn_bytes) == ([record], 0)


def test_a_record_that_an_earlier_release_wrote_has_no_slots(make_record):
    record = make_record(vector=b"\x05\x00\x01")
    *earlier, slots = msgspec.structs.astuple(record)
    segment = read_segment(frame(SegmentHeader("w", 0)) + frame([2, *earlier]))
    assert segment is not None
    assert (segment.records, slots) == ([record], None)


def test_what_lies_behind_zeros_is_torn(make_context, make_record):
    segment = read_segment(b"".join(frames_of(make_context, make_record)) + b"\0" * 8 + b"rest")
    assert segment is not None
    assert len(segment.records) == 2
    assert segment.torn_bytes == 12


@pytest.fixture
def look(tmp_path) -> Callable[[bytes, int, int], SegmentRange]:
    def look(content: bytes, offset: int, limit_bytes: int) -> SegmentRange:
        path = tmp_path / "looked-at"
        path.write_bytes(content)
        with opened(path) as fd:
            return read_range(fd, offset, limit_bytes)

    return look


@contextmanager
def opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.mark.parametrize("limit_bytes", [1, 7, 8, 9, 200, 350, 1000, 1_000_000])
def test_ranges_of_any_size_are_the_whole(look, make_context, make_record, limit_bytes):
    frames = frames_of(make_context, make_record)
    whole = b"".join(frames)
    ends = [sum(map(len, frames[: index + 1])) for index in range(len(frames))]
    records, contexts, offset = [], {}, 0
    while (part := look(whole + b"\0" * 100, offset, max(limit_bytes, 8))).end != offset:
        assert part.end in ends
        assert part.end - offset <= max(limit_bytes, max(map(len, frames)))
        records += part.records
        contexts.update(part.contexts)
        offset = part.end
    assert offset == len(whole)
    assert [record.writer_seq for record in records] == [0, 1]
    assert contexts == {0: make_context()}


def test_a_frame_that_is_being_written_is_there_when_it_is_whole(look, make_context, make_record):
    frames = frames_of(make_context, make_record)
    whole, before = b"".join(frames), len(b"".join(frames[:-1]))
    for written in range(before, len(whole)):
        content = whole[:written] + b"\0" * (
            len(whole) - written + 50
        )  # space is allocated before the frame is written
        assert look(content, before, 4096) == SegmentRange({}, [], before, {}, [])
    assert [record.writer_seq for record in look(whole, before, 4096).records] == [1]


def test_a_length_that_is_half_written_is_not_believed(look, make_context, make_record):
    whole = b"".join(frames_of(make_context, make_record))
    assert look(whole + b"\xff\xff\xff\xff" + b"\0" * 60, len(whole), 4096).end == len(whole)
    assert look(whole, len(whole) + 4096, 4096).end == len(whole) + 4096


def test_what_is_written_through_a_map_is_read_range_by_range(tmp_path, make_context, make_record):
    writer = LogWriter(tmp_path, "w")
    offset, seen = 0, []
    for batch in range(40):
        for _ in range(batch):
            writer.append(make_context(), make_record)
        assert writer.note(Audit(1, "r", 1, 0, "w", "w", "", "", "", {}, "x" * 50_000))
        assert writer.active_path is not None
        with opened(writer.active_path) as fd:
            while (part := read_range(fd, offset, 10_000)).end != offset:
                offset = part.end
                seen += part.records
    assert [record.writer_seq for record in seen] == list(range(sum(range(40))))
    assert offset == written_end(writer.active_path)
