"""Appends records to the active segment of one replica. Acts; on the request path, so it never raises.

A record is in the operating system's hands when `append` returns, so it survives the death of the process. What
cannot be written is dropped and counted, and its sequence number is spent, so that readers can count it as well.
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

_CHUNK_BYTES = 4 * 1024 * 1024


class _Active:
    """The segment being written: a file that is allocated in chunks and written through a memory map.

    What is in the map is the operating system's, as after a write, but costs neither a system call nor the
    interpreter's lock. Space is allocated before it is mapped: a full disk is an error here, not a fault later.
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
        """All of it or nothing.

        Raises:
            OSError: the disk is full or failing; the segment ends where it ended before.
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

    def introduce(self, context: Context) -> int:
        """Writes a context and returns its number in this segment.

        Contexts are known by identity, which costs the request path one look-up; they are kept here so that no
        other object can get the same identity while the segment is open.
        """
        number = len(self._contexts)
        self.write(frame(msgspec.structs.replace(context, number=number)))
        self._contexts.append(context)
        self.numbers[id(context)] = number
        return number

    def close(self) -> None:
        """Cuts the file to what was written, and asks the disk to keep it."""
        self._map.close()
        os.ftruncate(self.fd, self.bytes)
        os.fsync(self.fd)
        os.close(self.fd)


class LogWriter:
    """One per replica. `append` and `note` may be called from any thread."""

    def __init__(self, folder: Path, writer_id: str) -> None:
        self.writer_id = writer_id
        self.appended = 0
        self.dropped = 0
        self.folder = folder
        self._lock = threading.Lock()
        self._sequence = 0
        self._writer_seq = 0
        self._active: _Active | None = None

    def append(self, context: Context, make_record: Callable[[int, int], Record]) -> bool:
        """Writes one record; False if it had to be dropped.

        `make_record(context_number, writer_seq)` builds it, because only the segment knows both numbers.
        """
        with self._lock:
            sequence = self._writer_seq
            self._writer_seq = sequence + 1
            try:
                active = self._active or self._open()
                number = active.numbers.get(id(context))
                if number is None:
                    number = active.introduce(context)
                active.write(frame(make_record(number, sequence)))
            except OSError:
                self.dropped += 1
                return False
            self.appended += 1
            return True

    def note(self, audit: Audit) -> bool:
        """Writes one change of a document; False if it could not be written: whoever notes it tries again."""
        with self._lock:
            try:
                (self._active or self._open()).write(frame(audit))
            except OSError:
                return False
            return True

    @property
    def active_path(self) -> Path | None:
        """The segment that is being written; it must not be shipped.

        Asked under the lock: a segment is a file, which others list, a moment before it is the active one.
        """
        with self._lock:
            return None if self._active is None else self._active.path

    def written_bytes(self, path: Path) -> int:
        """How much of a segment is written: the active one is longer than that.

        Raises:
            OSError: there is no such file.
        """
        with self._lock:  # a segment that is being opened is a file before it is the active one
            active = self._active
            return active.bytes if active is not None and active.path == path else path.stat().st_size

    def rotate(self, max_age_s: float, max_bytes: int) -> Path | None:
        """Closes the active segment if it is old or large enough, and names it; None if it is not."""
        active = self._active
        if active is None:
            return None
        if time.monotonic() - active.opened_s < max_age_s and active.bytes < max_bytes:
            return None
        with self._lock:
            self._active = None
        active.close()
        return active.path

    def sync(self) -> None:
        """Asks the disk to keep what has been written."""
        active = self._active
        if active is not None:
            os.fsync(active.fd)

    def _open(self) -> _Active:
        header = frame(SegmentHeader(self.writer_id, self._sequence))
        self._active = _Active(self.folder / f"{self.writer_id}-{self._sequence:08d}{SUFFIX}", header)
        self._sequence += 1
        return self._active
