"""The frames are the same, however their bytes were split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.grpc.http2.frame_reader import FrameReader
from gateway.grpc.http2.frames import PREFACE, ConnectionFault, ErrorCode, FrameType, frame

MAX_BYTES = 1000
FRAMES = [
    (FrameType.SETTINGS, 0, 0, b""),
    (0xFF, 3, 5, b"ab"),
    (FrameType.DATA, 1, 2**31 - 1, bytes(MAX_BYTES)),
    (1, 4, 1, b"x" * 9),
]
CONTENT = PREFACE + b"".join(frame(*each) for each in FRAMES)


@given(st.lists(st.integers(0, len(CONTENT)), max_size=20))
def test_any_split_gives_the_same_frames(cuts):
    reader, found, last = FrameReader(MAX_BYTES), [], 0
    for cut in [*sorted(cuts), len(CONTENT)]:
        found += list(reader.read(CONTENT[last:cut]))
        last = cut
    assert found == FRAMES


def test_byte_by_byte():
    reader = FrameReader(MAX_BYTES)
    assert [each for byte in CONTENT for each in reader.read(bytes((byte,)))] == FRAMES


@pytest.mark.parametrize("size", [1, 5, len(PREFACE)])
def test_another_protocol_is_rejected_at_the_first_byte_that_differs(size):
    wrong = bytearray(PREFACE)
    wrong[size - 1] ^= 1
    reader = FrameReader(MAX_BYTES)
    assert list(reader.read(bytes(wrong[: size - 1]))) == []
    with pytest.raises(ConnectionFault, match="not HTTP/2"):
        list(reader.read(bytes(wrong[size - 1 : size])))


@pytest.mark.parametrize("size", [0, 4, 8])
def test_a_frame_one_byte_too_long_is_rejected_at_its_head(size):
    head = frame(0, 0, 1, bytes(MAX_BYTES + 1))[:9]
    reader = FrameReader(MAX_BYTES)
    assert list(reader.read(PREFACE + head[:size])) == []
    with pytest.raises(ConnectionFault) as fault:
        list(reader.read(head[size:]))
    assert fault.value.code == ErrorCode.FRAME_SIZE_ERROR


def test_the_reserved_bit_of_a_stream_is_ignored():
    content = bytearray(frame(0, 0, 7))
    content[5] |= 0x80
    assert list(FrameReader(MAX_BYTES).read(PREFACE + content)) == [(0, 0, 7, b"")]
