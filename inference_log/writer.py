"""The writer of records to the active segment of one replica. It is on the request path, so it never raises.

When `append` returns, the operating system has the record, so the record survives the death of the process. A record
that cannot be written is dropped and counted, and so is one that is left out because the spool has too much
(`inference_log.disk_bound`). Its sequence number is not used again, so readers can count it as well.

A segment that is full is left at once, by the append that finds it full: no segment is larger than the limit and one
record. What `append` does then is short: it opens the next file. `rotate` closes the full one.

The companion process reads a segment while it is written here, syncs it to the disk, and ships it once it is closed.
A lock on the file tells it which segments are open (`inference_log.segment_lock`).
"""

import mmap
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from inference_log.disk_bound import Shed
from inference_log.file_names import segment_name
from inference_log.payload import Payload
from inference_log.record import Audit, Context, Learned, Record, Reward, RewardContext, SegmentHeader
from inference_log.segment import SUFFIX, frame
from inference_log.segment_lock import create_locked

MAX_BYTES = 64 * 1024 * 1024

LEAST_FREE_BYTES = 512 * 1024 * 1024
"""Bodies are shed while the disk has less than this free, so that rows still have room."""

_LOOK_EVERY_S = 1.0

CHUNK_BYTES = 4 * 1024 * 1024
"""A segment that is not closed is a whole number of these, of which the last one is not filled yet."""


class _ActiveSegment:
    """The segment being written: a file that is allocated in chunks and written through a memory map.

    The operating system has all bytes in the map, as after a write. But the map needs no system call and keeps the
    interpreter's lock. Space is allocated before it is mapped, so a full disk raises here instead of SIGBUS later.
    """

    def __init__(self, path: Path, header: bytes) -> None:
        self.path = path
        self.bytes = 0
        self.payload_bytes = 0
        self.opened_s = time.monotonic()
        self.numbers: dict[int, int] = {}
        self._contexts: list[Context | RewardContext] = []
        self._size = 0
        self.fd = create_locked(path)
        try:
            os.posix_fallocate(self.fd, 0, CHUNK_BYTES)
            self._size = CHUNK_BYTES
            self._map = mmap.mmap(self.fd, self._size)
        except OSError:
            path.unlink()  # first: once the lock is gone the companion may claim the file
            os.close(self.fd)
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
            size += CHUNK_BYTES
        os.posix_fallocate(self.fd, self._size, size - self._size)
        self._map.resize(size)
        self._size = size

    def add_context(self, context: Context | RewardContext) -> int:
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
        """Cut the file to its written length, and give up its lock.

        Raises:
            OSError: the disk is failing. The file is closed all the same.
        """
        self._map.close()
        try:
            os.ftruncate(self.fd, self.bytes)
        finally:
            os.close(self.fd)


class LogWriter:
    """The writer of one replica. `append` and `note` may be called from any thread.

    One thread calls `rotate` and `close`. A segment that has `max_bytes` gets nothing more. `leaves_out`, which another
    thread sets, says what is not written now. `dropped_by` counts by reason what was dropped: `disk` (it is full, or
    failing), `bound` (the spool has its bound), `best_effort` (it is near, and the route's durability is that).
    """

    def __init__(self, folder: Path, writer_id: str, max_bytes: int = MAX_BYTES, cluster: str = "") -> None:
        self.writer_id = writer_id
        self.appended = 0
        self.shed = 0
        self.dropped_by = {"disk": 0, "bound": 0, "best_effort": 0}
        self.leaves_out = Shed.NOTHING
        self.folder = folder
        self._lock = threading.Lock()
        self._sequence = 0
        self._writer_seq = 0
        self._max_bytes = max_bytes
        self._cluster = cluster
        self._active: _ActiveSegment | None = None
        self._newest: _ActiveSegment | None = None  # the active one, or the last that was
        self._looked_s = -_LOOK_EVERY_S
        self._is_roomy = False
        self._full: list[_ActiveSegment] = []  # not closed yet

    def append(self, context: Context | RewardContext, make_record: Callable[[int, int], Record | Reward]) -> bool:
        """Write one record or reward. Return False if it had to be dropped.

        `make_record(context_number, writer_seq)` builds the record, because only the writer knows both numbers.
        """
        with self._lock:
            sequence = self._writer_seq
            self._writer_seq = sequence + 1
            if self.leaves_out and self._is_shed(context):
                return False
            try:
                active = self._active
                if active is None or active.bytes >= self._max_bytes:
                    active = self._open()
                number = active.numbers.get(id(context))
                if number is None:
                    number = active.add_context(context)
                active.write(frame(make_record(number, sequence)))
            except OSError:
                self.dropped_by["disk"] += 1
                return False
            self.appended += 1
            return True

    @property
    def dropped(self) -> int:
        """How many records were dropped."""
        return sum(self.dropped_by.values())

    def _is_shed(self, context: Context | RewardContext) -> bool:
        """Return True, and count it, if a record is left out. A reward is not, before all records are."""
        if self.leaves_out is Shed.ALL:
            self.dropped_by["bound"] += 1
        elif self.leaves_out is Shed.BEST_EFFORT and isinstance(context, Context) and context.is_best_effort:
            self.dropped_by["best_effort"] += 1
        else:
            return False
        return True

    def note(self, change: Audit | Learned) -> bool:
        """Write a change of a document, or a learned policy. Return False if it could not be written.

        The caller then tries again.
        """
        with self._lock:
            try:
                active = self._active
                if active is None or active.bytes >= self._max_bytes:
                    active = self._open()
                active.write(frame(change))
            except OSError:
                return False
            return True

    def keep(self, payload: Payload) -> bool:
        """Write the bodies of a request. Return False if they were shed, because there is little room.

        Bodies take at most half of a segment, and none is kept if the disk has less than `LEAST_FREE_BYTES` free, or
        the spool is near its bound.
        """
        if self.leaves_out:
            self.shed += 1
            return False
        content = frame(payload)
        with self._lock:
            try:
                active = self._active
                if active is None or active.bytes >= self._max_bytes:
                    active = self._open()
                if active.payload_bytes + len(content) <= self._max_bytes // 2 and self._has_room():
                    active.write(content)
                    active.payload_bytes += len(content)
                    return True
            except OSError:
                pass
            self.shed += 1
            return False

    def _has_room(self) -> bool:
        """Return True if the disk has room for bodies, as it was at most a second ago."""
        now_s = time.monotonic()
        if now_s - self._looked_s >= _LOOK_EVERY_S:
            disk = os.statvfs(self.folder)
            self._looked_s, self._is_roomy = now_s, disk.f_bavail * disk.f_frsize >= LEAST_FREE_BYTES
        return self._is_roomy

    @property
    def position(self) -> tuple[int, int]:
        """The number of the newest segment and the offset where it ends now: all that was appended is before it."""
        with self._lock:
            return self._sequence - 1, 0 if self._newest is None else self._newest.bytes

    @property
    def next_number(self) -> int:
        """The number of the segment that gets what is appended next, unless the active one is left before."""
        with self._lock:
            return self._sequence if self._active is None else self._sequence - 1

    @property
    def active_path(self) -> Path | None:
        """The segment that is being written."""
        with self._lock:
            return None if self._active is None else self._active.path

    def rotate(self, max_age_s: float, max_bytes: int) -> Path | None:
        """Close the active segment if it is old or large enough, and return its path; otherwise return None.

        Full ones are closed in any case.

        Raises:
            OSError: the disk is failing.
        """
        self._close_full()
        active = self._active
        if active is None:
            return None
        if time.monotonic() - active.opened_s < max_age_s and active.bytes < max_bytes:
            return None
        with self._lock:
            if self._active is active:  # otherwise `append` has left it meanwhile
                self._active = None
                self._full.append(active)
        self._close_full()
        return active.path

    def close(self) -> None:
        """Close every segment. Nothing is appended after this.

        Raises:
            OSError: the disk is failing.
        """
        self.rotate(0.0, 0)

    def _close_full(self) -> None:
        """Close the segments that are left."""
        while self._full:
            self._full.pop(0).close()

    def _open(self) -> _ActiveSegment:
        """Open the next segment and leave the active one. If it cannot be opened, the active one stays."""
        header = frame(SegmentHeader(self.writer_id, self._sequence, cluster=self._cluster))
        opened = _ActiveSegment(self.folder / f"{segment_name(self.writer_id, self._sequence)}{SUFFIX}", header)
        if self._active is not None:
            self._full.append(self._active)
        self._active = self._newest = opened
        self._sequence += 1
        return opened
