"""What lies behind damage in a segment: a flipped bit, or a page that a power failure has lost.

For every reader a segment ends at its first damaged frame. The whole frames behind it are found again, by their length,
checksum and content, and written as a segment of their own, with the contexts that their records refer to. It is then
counted and shipped as any other. What was cut is counted: in bytes, and in rows by the gaps in the writer's numbers.
"""

import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from inference_log.file_names import REST
from inference_log.record import Context, Record, Reward, RewardContext, SegmentEntry, SegmentHeader
from inference_log.segment import FRAME, SUFFIX, decode_entry, frame

_LIKE_A_FRAME = re.compile(rb"(?=[\s\S]{8}(?:[\x90-\x9f]|\xdc[\s\S]{2})[\x00-\x0f])")
"""A frame's content is a list of MessagePack that begins with its tag. Bytes that look so are worth a checksum."""


class Cut(NamedTuple):
    """What was cut out of a segment. `rows` is by the numbers that are missing between whole rows."""

    bytes: int
    rows: int


class _Kept:
    """The whole entries behind the first damage, and what is needed to count and read them."""

    def __init__(self) -> None:
        self.header: SegmentHeader | None = None
        self.contexts: dict[int, Context | RewardContext] = {}
        self.entries: list[SegmentEntry] = []
        self.end = self.whole_bytes = 0
        self.rows = 0
        self.first = self.last = -1
        """The lowest and the highest number of the rows that were kept, those before the damage included."""

    def add(self, entry: SegmentEntry, begin: int, end: int, *, is_behind: bool) -> None:
        """Add an entry. Behind damage, a row whose context was cut is cut, too."""
        self.end = end
        if isinstance(entry, Record | Reward):
            if entry.context not in self.contexts:
                return
            self.first = entry.writer_seq if self.first < 0 else min(self.first, entry.writer_seq)
            self.last = max(self.last, entry.writer_seq)
            self.rows += 1
        elif isinstance(entry, Context | RewardContext):
            self.contexts[entry.number] = entry
        elif isinstance(entry, SegmentHeader):
            self.header = self.header or entry
        self.whole_bytes += end - begin
        if is_behind and not isinstance(entry, SegmentHeader | Context | RewardContext):
            self.entries.append(entry)


def salvage(path: Path) -> Cut:
    """Write what is whole behind the damage of a closed segment into a segment beside it, once. Return what was cut.

    Raises:
        OSError: the disk does not allow it.
    """
    content = path.read_bytes()
    kept, is_behind, written = _Kept(), False, len(content.rstrip(b"\0"))
    for entry, begin, end in _all_entries(content):
        is_behind = is_behind or begin > kept.end
        kept.add(entry, begin, end, is_behind=is_behind)
    if kept.header is not None and kept.entries:
        _write(_beside(path), kept.header, [*kept.contexts.values(), *kept.entries])
    missing = kept.last - kept.first + 1 - kept.rows if kept.rows else 0
    return Cut(max(written, kept.end) - kept.whole_bytes, max(0, missing))


def _beside(path: Path) -> Path:
    """Return the name of the segment for the rest. It sorts behind the damaged one, so that one goes first."""
    return path.with_name(f"{path.name.removesuffix(SUFFIX)}{REST}{SUFFIX}")


def _write(path: Path, header: SegmentHeader, entries: list[SegmentEntry]) -> None:
    unnamed = path.with_suffix(".new")
    try:
        with unnamed.open("wb") as file:
            file.write(b"".join(map(frame, (header, *entries))))
            file.flush()
            os.fsync(file.fileno())
        os.link(unnamed, path)
    except FileExistsError:
        pass  # a process has written it that died before it deleted the damaged one
    finally:
        unnamed.unlink(missing_ok=True)


def _all_entries(content: bytes) -> Iterator[tuple[SegmentEntry, int, int]]:
    """Yield each whole entry, where its frame begins and where it ends."""
    offset: int | None = 0
    while offset is not None:
        found = _entry_at(content, offset)
        if found is None:
            offset = _next_frame(content, offset + 1)
            continue
        yield found[0], offset, found[1]
        offset = found[1]


def _next_frame(content: bytes, begin: int) -> int | None:
    for like in _LIKE_A_FRAME.finditer(content, begin):
        if _entry_at(content, like.start()) is not None:
            return like.start()
    return None


def _entry_at(content: bytes, offset: int) -> tuple[SegmentEntry, int] | None:
    """Return the entry whose frame begins at an offset, and where it ends; None if there is none that is whole."""
    if offset + FRAME.size >= len(content):
        return None
    length, crc = FRAME.unpack_from(content, offset)
    end = offset + FRAME.size + length
    if length == 0 or end > len(content):
        return None
    body = memoryview(content)[offset + FRAME.size : end]
    if zlib.crc32(body) != crc:
        return None
    try:
        return decode_entry(body), end
    except msgspec.MsgspecError:
        return None
