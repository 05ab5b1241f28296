"""The file format of a segment: frames of length, CRC-32 and content.

A segment that is still being written, or whose writer was killed, ends in zeros: space that was allocated and not
used. A frame that is cut short or has a wrong CRC ends the segment, too. It can only be the frame that is being written
now, or that was being written when the process or the machine died.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from inference_log.payload import Payload
from inference_log.record import Audit, Context, Learned, Record, Reward, RewardContext, SegmentEntry, SegmentHeader

SUFFIX = ".segment"

FRAME = struct.Struct("<II")
_encode = msgspec.msgpack.Encoder().encode
decode_entry = msgspec.msgpack.Decoder(SegmentEntry).decode


def frame(entry: SegmentEntry) -> bytes:
    """Return the bytes to append for one entry."""
    content = _encode(entry)
    return FRAME.pack(len(content), zlib.crc32(content)) + content


class Segment(NamedTuple):
    """The content of a segment. `torn_bytes` counts the bytes after the last whole frame, without trailing zeros."""

    header: SegmentHeader
    contexts: dict[int, Context]
    records: list[Record]
    audits: list[Audit]
    torn_bytes: int
    reward_contexts: dict[int, RewardContext]
    rewards: list[Reward]
    learned: list[Learned]
    payloads: list[Payload]

    @classmethod
    def empty(cls, header: SegmentHeader) -> "Segment":
        """Return a segment without entries."""
        return cls(header, {}, [], [], 0, {}, [], [], [])


class SegmentRange(NamedTuple):
    """The entries of a range: some whole frames in the middle of a segment. `end` is the offset after them."""

    contexts: dict[int, Context]
    records: list[Record]
    end: int
    reward_contexts: dict[int, RewardContext]
    rewards: list[Reward]


def read_segment(content: bytes) -> Segment | None:
    """Read everything up to the first torn frame. Return None if not even the header is whole."""
    parsed = _parse(content)
    if parsed.header is None:
        return None
    return Segment(
        header=parsed.header,
        contexts=parsed.contexts,
        records=parsed.records,
        audits=parsed.audits,
        torn_bytes=len(content[parsed.end :].rstrip(b"\0")),
        reward_contexts=parsed.reward_contexts,
        rewards=parsed.rewards,
        learned=parsed.learned,
        payloads=parsed.payloads,
    )


def read_range(fd: int, offset: int, limit_bytes: int) -> SegmentRange:
    """Read about `limit_bytes` of whole frames, but at least one frame. A frame must begin at `offset`.

    The file may be written at the same time, also through a memory map. It is read, not mapped: if its writer cut a
    mapped file to length, the reader would die of SIGBUS. A frame that is not whole yet is left for the next call. If
    no frame is whole, the range ends at `offset`.

    Raises:
        OSError: the file cannot be read.
        msgspec.MsgspecError: a whole frame is not an entry.
    """
    head = os.pread(fd, FRAME.size, offset)
    if len(head) < FRAME.size or not any(head):
        return SegmentRange({}, [], offset, {}, [])  # nothing new, which is what most looks find
    content = os.pread(fd, max(limit_bytes, FRAME.size + FRAME.unpack(head)[0]), offset)
    parsed = _parse(content)
    return SegmentRange(parsed.contexts, parsed.records, offset + parsed.end, parsed.reward_contexts, parsed.rewards)


class _Parsed:
    """The whole entries of some bytes, by kind, and the offset after the last one."""

    def __init__(self) -> None:
        self.header: SegmentHeader | None = None
        self.contexts: dict[int, Context] = {}
        self.records: list[Record] = []
        self.audits: list[Audit] = []
        self.reward_contexts: dict[int, RewardContext] = {}
        self.rewards: list[Reward] = []
        self.learned: list[Learned] = []
        self.payloads: list[Payload] = []
        self.end = 0


def _parse(content: bytes) -> _Parsed:
    parsed = _Parsed()
    for entry, parsed.end in _entries(content):
        if isinstance(entry, Record):
            parsed.records.append(entry)
        elif isinstance(entry, Context):
            parsed.contexts[entry.number] = entry
        elif isinstance(entry, Reward):
            parsed.rewards.append(entry)
        elif isinstance(entry, RewardContext):
            parsed.reward_contexts[entry.number] = entry
        elif isinstance(entry, Audit):
            parsed.audits.append(entry)
        elif isinstance(entry, Learned):
            parsed.learned.append(entry)
        elif isinstance(entry, Payload):
            parsed.payloads.append(entry)
        else:
            parsed.header = entry
    return parsed


def framed_entries(content: bytes) -> Iterator[tuple[SegmentEntry, bytes]]:
    """Yield each whole entry, and the bytes of its frame.

    Raises:
        msgspec.MsgspecError: a whole frame is not an entry.
    """
    begin = 0
    for entry, end in _entries(content):
        yield entry, content[begin:end]
        begin = end


def _entries(content: bytes) -> Iterator[tuple[SegmentEntry, int]]:
    """Yield each whole entry and the offset after it."""
    view = memoryview(content)
    offset = 0
    while offset + FRAME.size <= len(view):
        length, crc = FRAME.unpack_from(view, offset)
        if length == 0:
            return
        end = offset + FRAME.size + length
        body = view[offset + FRAME.size : end]
        if end > len(view) or zlib.crc32(body) != crc:
            return
        yield decode_entry(body), end
        offset = end
