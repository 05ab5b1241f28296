"""Puts the rows of one writer in the second place, as far as the writer asks.

All that was appended since the last part becomes the next one. So there is one put at a time, whatever the rate of
requests, and a question that comes meanwhile waits for the next.

How far a segment is put is kept in a file beside it: the next process goes on from there, and what ships the segment
knows that there are parts. A segment of which parts are put is young. So what removes old ones cannot take the
beginning away from a writer that is still alive.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from inference_log.errors import LogError, LogUnavailable
from inference_log.file_names import part_key, segment_name
from inference_log.pieces import first_time_us, written_end
from inference_log.segment import SUFFIX
from inference_log.spool import DEAD_LETTER

PUT_FOR_S = 1800.0
"""A segment whose first row is older than this gets no more parts."""

_MARKER = ".strict"


class Question(msgspec.Struct, frozen=True, array_like=True):
    """Asks whether a writer's segments from `first` on are in the second place, and `last` up to the offset `end`."""

    first: int
    last: int
    end: int


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """The log is in the second place up to `end` of the segment `last`; or else it is not, and `trouble` says why."""

    last: int
    end: int
    trouble: str = ""


def marker_of(segment: Path) -> Path:
    """Return the file that says how far a segment is in the second place. Without it, there are no parts."""
    return segment.with_suffix(_MARKER)


class Acknowledger:
    """One per replica. `put(key, content)` stores a part, or raises `LogError`. `now_s` is since the epoch."""

    def __init__(
        self, folder: Path, writer_id: str, put: Callable[[str, bytes], None], now_s: Callable[[], float] = time.time
    ) -> None:
        self._folder = folder
        self._writer_id = writer_id
        self._put = put
        self._now_s = now_s
        self._ends: dict[int, int] = {}
        self._firsts_us: dict[int, int | None] = {}

    def answer(self, question: Question) -> Reply:
        """Put what is not in the second place yet. Return how far it is."""
        try:
            for number in range(question.first, question.last):
                self._put_up_to(number, None)
            self._put_up_to(question.last, question.end)
        except (LogError, OSError, msgspec.MsgspecError) as error:
            return Reply(question.last, 0, str(error))
        return Reply(question.last, question.end)

    def _put_up_to(self, number: int, end: int | None) -> None:
        """Put a segment up to an offset where a frame ends; one that its writer has left, to its end."""
        name = segment_name(self._writer_id, number)
        path = self._folder / f"{name}{SUFFIX}"
        begin = self._begin(number, path)
        if end is not None and end <= begin:
            return
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self._require_shipped(name)
            return
        try:
            if end is None:
                end = written_end(path, begin)
            if end <= begin:
                return
            self._require_young(number, path)
            content = os.pread(fd, end - begin, begin)
        finally:
            os.close(fd)
        if len(content) != end - begin:
            raise LogUnavailable(f"{path.name} ends before what its writer has written.")
        marker = marker_of(path)
        marker.touch(0o600)  # first: there is no part without it
        self._put(part_key(name, begin, end), content)
        self._ends[number] = end
        with suppress(OSError):  # the next process then puts the part again
            marker.write_text(str(end))

    def _begin(self, number: int, path: Path) -> int:
        """Return how far a segment is put."""
        if number not in self._ends:
            self._ends = {each: end for each, end in self._ends.items() if each >= number - 1}
            self._firsts_us.clear()
            try:
                self._ends[number] = int(marker_of(path).read_text() or 0)
            except (FileNotFoundError, ValueError):
                return 0
        return self._ends[number]

    def _require_young(self, number: int, path: Path) -> None:
        """Raise unless parts of a segment may be put still."""
        first_us = self._firsts_us.get(number)
        if first_us is None:
            first_us = self._firsts_us[number] = first_time_us(path)
        if first_us is not None and self._now_s() - first_us / 1e6 > PUT_FOR_S:
            raise LogUnavailable(
                f"{path.name} is older than {PUT_FOR_S / 60:.0f} minutes. Set POINTSMAN_SEGMENT_MAX_AGE_S to less."
            )

    def _require_shipped(self, name: str) -> None:
        """Raise if a segment that is not in its folder has not become Parquet: it, or the rest of it, is elsewhere."""
        for folder in (self._folder, self._folder.parent / DEAD_LETTER):
            with suppress(FileNotFoundError):
                if any(each.name.startswith(name) and each.suffix == SUFFIX for each in folder.iterdir()):
                    raise LogUnavailable(f"{name} is damaged or was set aside.")
