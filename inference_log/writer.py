"""The writer of records to the active segment of one replica. It is on the request path, so it never raises.

When `append` returns, the operating system has the record, so the record survives the death of the process. A record
that cannot be written is dropped and counted. Its sequence number is not used again, so readers can count it as well.

A segment that is full is left at once, by the append that finds it full: no segment is larger than the limit and one
record. What `append` does then is short: it opens the next file. The shipping thread closes the full one, because that
syncs up to `max_bytes` to the disk.
"""

import mmap
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from inference_log.record import Audit, Context, Record, SegmentHeader
from inference_log.segment import SUFFIX, frame

MAX_BYTES = 64 * 1024 * 1024

_CHUNK_BYTES = 4 * 1024 * 1024


class _ActiveSegment:
    """The segment being written: a file that is allocated in chunks and written through a memory map.

    The operating system has all bytes in the map, as after a write. But the map needs no system call and keeps the
    interpreter's lock. Space is allocated before it is mapped, so a full disk raises here instead of SIGBUS later.
    """

    def __init__(self, path: Path, header: bytes) -> None:
        self.path = path
        self.bytes = 0
        self.opened_s = time.monotonic()
        self.numbers: dict[int, int] = {}
        self._contexts: list[Context] = []
        self._size = 0
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(self.fd, 0, _CHUNK_BYTES)
            self._size = _CHUNK_BYTES
            self._map = mmap.mmap(self.fd, self._size)
        except OSError:
            os.close(self.fd)
            path.unlink()
            raise
        self.write(header)

    def write(self, content: bytes) -> None:
        """Append all of `content` or nothing.

        Raises:
            OSError: the disk is full or failing. The segment ends where it ended before.
        """
        end = self.bytes + len(content)
        if end > self._size:
            self._grow(end)
        self._map[self.bytes : end] = content
        self.bytes = end

    def _grow(self, needed: int) -> None:
        size = self._size
        while size < needed:
            size += _CHUNK_BYTES
        os.posix_fallocate(self.fd, self._size, size - self._size)
        self._map.resize(size)
        self._size = size

    def add_context(self, context: Context) -> int:
        """Write a context and return its number in this segment.

        Contexts are recognised by `id`, which costs the request path one look-up. The segment keeps a reference to
        each of them, so that no other object can get the same `id` while the segment is open.
        """
        number = len(self._contexts)
        self.write(frame(msgspec.structs.replace(context, number=number)))
        self._contexts.append(context)
        self.numbers[id(context)] = number
        return number

    def close(self) -> None:
        """Cut the file to its written length, and sync it to the disk.

        Raises:
            OSError: the disk is failing. The file is closed all the same.
        """
        self._map.close()
        try:
            os.ftruncate(self.fd, self.bytes)
            os.fsync(self.fd)
        finally:
            os.close(self.fd)


class LogWriter:
    """The writer of one replica. `append` and `note` may be called from any thread.

    `rotate`, `close_full` and `sync` belong to the shipping thread. A segment that has `max_bytes` gets nothing more.
    """

    def __init__(self, folder: Path, writer_id: str, max_bytes: int = MAX_BYTES) -> None:
        self.writer_id = writer_id
        self.appended = 0
        self.dropped = 0
        self.folder = folder
        self._lock = threading.Lock()
        self._sequence = 0
        self._writer_seq = 0
        self._max_bytes = max_bytes
        self._active: _ActiveSegment | None = None
        self._full: list[_ActiveSegment] = []  # not closed yet

    def append(self, context: Context, make_record: Callable[[int, int], Record]) -> bool:
        """Write one record. Return False if it had to be dropped.

        `make_record(context_number, writer_seq)` builds the record, because only the writer knows both numbers.
        """
        with self._lock:
            sequence = self._writer_seq
            self._writer_seq = sequence + 1
            try:
                active = self._active
                if active is None or active.bytes >= self._max_bytes:
                    active = self._open()
                number = active.numbers.get(id(context))
                if number is None:
                    number = active.add_context(context)
                active.write(frame(make_record(number, sequence)))
            except OSError:
                self.dropped += 1
                return False
            self.appended += 1
            return True

    def note(self, audit: Audit) -> bool:
        """Write one change of a document. Return False if it could not be written. The caller then tries again."""
        with self._lock:
            try:
                active = self._active
                if active is None or active.bytes >= self._max_bytes:
                    active = self._open()
                active.write(frame(audit))
            except OSError:
                return False
            return True

    @property
    def active_path(self) -> Path | None:
        """The segment that is being written."""
        with self._lock:
            return None if self._active is None else self._active.path

    @property
    def open_paths(self) -> set[Path]:
        """The segments that are being written, or are full and not closed yet. They must not be shipped.

        They are read under the lock: the file of a new segment exists, and can be listed, before it is active here.
        """
        with self._lock:
            return {segment.path for segment in self._open_segments()}

    def written_bytes(self, path: Path) -> int:
        """Return how many bytes of a segment are written. The file of a segment that is not closed is longer.

        Raises:
            OSError: there is no such file.
        """
        with self._lock:  # the file of a new segment exists before it becomes active here
            for segment in self._open_segments():
                if segment.path == path:
                    return segment.bytes
            return path.stat().st_size

    def rotate(self, max_age_s: float, max_bytes: int) -> Path | None:
        """Close the active segment if it is old or large enough, and return its path; otherwise return None.

        Full ones are closed in any case.

        Raises:
            OSError: the disk is failing.
        """
        self.close_full()
        active = self._active
        if active is None:
            return None
        if time.monotonic() - active.opened_s < max_age_s and active.bytes < max_bytes:
            return None
        with self._lock:
            if self._active is active:  # otherwise `append` has left it meanwhile
                self._active = None
                self._full.append(active)
        self.close_full()
        return active.path

    def close_full(self) -> None:
        """Close the segments that `append` has left because they were full.

        Raises:
            OSError: the disk is failing.
        """
        while self._full:
            try:
                self._full[0].close()
            finally:
                with self._lock:  # only now is the file as long as what is written
                    self._full.pop(0)

    def sync(self) -> None:
        """Sync the active segment to the disk."""
        active = self._active
        if active is not None:
            os.fsync(active.fd)

    def _open_segments(self) -> list[_ActiveSegment]:
        return self._full if self._active is None else [*self._full, self._active]

    def _open(self) -> _ActiveSegment:
        """Open the next segment and leave the active one. If it cannot be opened, the active one stays."""
        header = frame(SegmentHeader(self.writer_id, self._sequence))
        opened = _ActiveSegment(self.folder / f"{self.writer_id}-{self._sequence:08d}{SUFFIX}", header)
        if self._active is not None:
            self._full.append(self._active)
        self._active = opened
        self._sequence += 1
        return opened
