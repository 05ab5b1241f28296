"""Appends records to the active segment of one replica. Acts; on the request path, so it never raises.

A record is in the operating system's hands when `append` returns, so it survives the death of the process. What
cannot be written is dropped and counted, and its sequence number is spent, so that readers can count it as well.
"""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from inference_log.record import Context, Header, Record
from inference_log.segment import SUFFIX, frame


class _Active:
    """The segment being written."""

    def __init__(self, path: Path, header: bytes) -> None:
        self.path = path
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.bytes = 0
        self.opened_s = time.monotonic()
        self.numbers: dict[int, int] = {}
        self._contexts: list[Context] = []
        try:
            self.write(header)
        except OSError:
            self.close()
            self.path.unlink(missing_ok=True)
            raise

    def write(self, content: bytes) -> None:
        """All of it or nothing.

        Raises:
            OSError: the disk is full or failing; the segment ends where it ended before.
        """
        written = os.write(self.fd, content)
        if written != len(content):
            os.ftruncate(self.fd, self.bytes)
            raise OSError("The disk took only a part of a record.")
        self.bytes += written

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
        """Closes the file; the segment stays."""
        os.close(self.fd)


class LogWriter:
    """One per replica. `append` may be called from any thread."""

    def __init__(self, folder: Path, writer_id: str) -> None:
        self.writer_id = writer_id
        self.appended = 0
        self.dropped = 0
        self._folder = folder
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

    @property
    def active_path(self) -> Path | None:
        """The segment that is being written; it must not be shipped."""
        active = self._active
        return None if active is None else active.path

    def rotate(self, max_age_s: float, max_bytes: int) -> Path | None:
        """Closes the active segment if it is old or large enough, and names it; None if it is not."""
        active = self._active
        if active is None:
            return None
        if time.monotonic() - active.opened_s < max_age_s and active.bytes < max_bytes:
            return None
        with self._lock:
            self._active = None
        os.fsync(active.fd)
        active.close()
        return active.path

    def sync(self) -> None:
        """Asks the disk to keep what has been written."""
        active = self._active
        if active is not None:
            os.fsync(active.fd)

    def _open(self) -> _Active:
        header = frame(Header(self.writer_id, self._sequence))
        self._active = _Active(self._folder / f"{self.writer_id}-{self._sequence:08d}{SUFFIX}", header)
        self._sequence += 1
        return self._active
