"""The file format of a segment: frames of length, CRC-32 and content. Reads and frames; does not decide.

A segment that is still being written, or whose writer was killed, ends in zeros: space that was allocated and not
used. A frame that is cut short or whose CRC is wrong ends the segment too: it can only be the one that was being
written when the process or the machine died, or that is being written now.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from inference_log.record import Audit, Context, Record, SegmentEntry, SegmentHeader

SUFFIX = ".segment"

_FRAME = struct.Struct("<II")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(SegmentEntry).decode


def frame(entry: SegmentEntry) -> bytes:
    """The bytes to append for one entry."""
    content = _encode(entry)
    return _FRAME.pack(len(content), zlib.crc32(content)) + content


class Segment(NamedTuple):
    """A segment, read. `torn_bytes` is what lay behind the last whole frame, trailing zeros apart."""

    header: SegmentHeader
    contexts: dict[int, Context]
    records: list[Record]
    audits: list[Audit]
    torn_bytes: int


class Piece(NamedTuple):
    """Whole frames from the middle of a segment, and the offset behind them."""

    contexts: dict[int, Context]
    records: list[Record]
    end: int


def read_segment(content: bytes) -> Segment | None:
    """Everything up to the first torn frame; None if not even the header is whole."""
    read = _read(content)
    if read.header is None:
        return None
    return Segment(read.header, read.contexts, read.records, read.audits, len(content[read.end :].rstrip(b"\0")))


def read_piece(fd: int, offset: int, limit_bytes: int) -> Piece:
    """The whole frames from `offset` on, which must be where one begins: about `limit_bytes` of them, at least one.

    The file may be written at the same time, also through a memory map. It is read, not mapped: a mapping of a file
    that its writer cuts to length would be fatal to the reader. What is not whole yet is there the next time; if
    nothing is, the piece ends where it began.

    Raises:
        OSError: the file cannot be read.
        msgspec.MsgspecError: a whole frame is not an entry.
    """
    content = os.pread(fd, limit_bytes, offset)
    if len(content) >= _FRAME.size:
        first = _FRAME.size + _FRAME.unpack_from(content)[0]
        if first > limit_bytes and offset + first <= os.fstat(fd).st_size:
            content = os.pread(fd, first, offset)
    read = _read(content)
    return Piece(read.contexts, read.records, offset + read.end)


class _Read:
    """The whole entries of some bytes, sorted by kind, and the offset behind the last one."""

    def __init__(self) -> None:
        self.header: SegmentHeader | None = None
        self.contexts: dict[int, Context] = {}
        self.records: list[Record] = []
        self.audits: list[Audit] = []
        self.end = 0


def _read(content: bytes) -> _Read:
    read = _Read()
    for entry, read.end in _entries(content):
        if isinstance(entry, Record):
            read.records.append(entry)
        elif isinstance(entry, Context):
            read.contexts[entry.number] = entry
        elif isinstance(entry, Audit):
            read.audits.append(entry)
        else:
            read.header = entry
    return read


def _entries(content: bytes) -> Iterator[tuple[SegmentEntry, int]]:
    """Each whole entry and the offset behind it."""
    view = memoryview(content)
    offset = 0
    while offset + _FRAME.size <= len(view):
        length, crc = _FRAME.unpack_from(view, offset)
        if length == 0:
            return
        end = offset + _FRAME.size + length
        body = view[offset + _FRAME.size : end]
        if end > len(view) or zlib.crc32(body) != crc:
            return
        yield _decode(body), end
        offset = end
