"""Frames: whatever was written comes back, and whatever was cut or damaged ends the segment there."""

import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_log.record import Context, Header, Record
from inference_log.segment import frame, read_segment

_words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_longs = st.integers(-(2**63), 2**63 - 1)
_blobs = st.lists(st.binary(max_size=9), max_size=3).map(tuple)
_headers = st.builds(Header, writer_id=_words, sequence=_longs)
_contexts = st.builds(
    Context,
    number=st.integers(0, 4),
    route=_words,
    arm=_words,
    role=st.sampled_from(["primary", "fallback"]),
    policy_kind=_words,
    policy_version=_longs,
    snapshot_hash=_words,
    weights=st.dictionaries(_words, st.floats(allow_nan=False), max_size=2),
    model_name=_words,
    model_version=_words,
    model_digest=_words,
    features=st.lists(_words, max_size=2).map(tuple),
    label=st.none() | st.tuples(st.integers(0, 9), _words),
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
)


def frames_of(make_context, make_record) -> list[bytes]:
    """A segment of four frames: header, context, and two records."""
    entries = (Header("w", 0), make_context(), make_record(writer_seq=0), make_record(writer_seq=1))
    return [frame(entry) for entry in entries]


@settings(max_examples=50)
@given(_headers, st.lists(_contexts | _records, max_size=6))
def test_what_is_written_is_read_back(header, entries):
    segment = read_segment(b"".join(map(frame, (header, *entries))))
    assert segment is not None
    assert segment.header == header
    assert segment.records == [entry for entry in entries if isinstance(entry, Record)]
    assert segment.contexts == {entry.number: entry for entry in entries if isinstance(entry, Context)}
    assert segment.torn_bytes == 0


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
        read_segment(frame(Header("w", 0)) + struct.pack("<II", len(body), zlib.crc32(body)) + body)


def test_zeros_behind_the_last_record_end_the_segment(make_context, make_record):
    # Space that was allocated and not used; also what a file system leaves after a power cut.
    whole = b"".join(frames_of(make_context, make_record))
    for zeros in range(20):
        segment = read_segment(whole + b"\0" * zeros)
        assert segment is not None
        assert len(segment.records) == 2
        assert segment.torn_bytes == 0


def test_what_lies_behind_zeros_is_torn(make_context, make_record):
    segment = read_segment(b"".join(frames_of(make_context, make_record)) + b"\0" * 8 + b"rest")
    assert segment is not None
    assert len(segment.records) == 2
    assert segment.torn_bytes == 12
