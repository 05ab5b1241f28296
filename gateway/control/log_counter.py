"""Adds the records in a replica's segments to the store's sums, each exactly once.

A source is a segment. How far it is counted is an offset in its bytes, which the store keeps. The store adds a piece
only if it begins where the last one ended, and moves the end in the same step. So any process can count, as often as it
likes and whenever it dies: the next one asks for the end and goes on from there. If the store's reply was lost, the end
tells whether the piece was counted.

A segment is deleted only when it is counted to its end. The store forgets it only when it is deleted: then no process
can read it, and so count it, again. If a process dies in between, a few bytes stay in the store until they expire.
"""

import os
import threading
from collections import deque
from pathlib import Path

import structlog

from gateway.telemetry.periodic import LogOnce
from inference_log.record import Context
from inference_log.segment import SegmentRange, read_range
from inference_log.spool import segments
from inference_log.tally import tally
from inference_log.writer import LogWriter
from store.errors import StoreUnavailable
from store.interface import Store

_log = structlog.get_logger()

_PIECE_BYTES = 4 * 1024 * 1024


class _Source:
    """The state of one segment: where counting goes on, and the contexts of the bytes before `read_bytes`.

    `certain` is True if `end` is what the store last replied. Up to `empty_to` there is nothing after `end`.
    """

    def __init__(self) -> None:
        self.end = 0
        self.certain = False
        self.empty_to = 0
        self.read_bytes = 0
        self.contexts: dict[int, Context] = {}
        self.unreadable = False

    def learn(self, piece: SegmentRange) -> None:
        """Keep the contexts of a piece for the pieces that follow."""
        self.contexts.update(piece.contexts)
        self.read_bytes = max(self.read_bytes, piece.end)


class LogCounter:
    """One per replica. `tick` may run in one thread while the shipper calls `finish` and `deleted` in another.

    `behind_bytes` is what the last tick left uncounted of the replica's own segments. `failures` counts failures.
    """

    def __init__(self, store: Store, writer: LogWriter, piece_bytes: int = _PIECE_BYTES) -> None:
        self.behind_bytes = 0
        self.failures = 0
        self._store = store
        self._writer = writer
        self._piece_bytes = piece_bytes
        self._lock = threading.Lock()
        self._sources: dict[str, _Source] = {}
        self._gone: deque[str] = deque()
        self._outage = LogOnce("gateway.counter.store_failed")

    def tick(self) -> None:
        """Count what is new in the replica's own segments. Never raise an error of the store or of a file."""
        paths = segments(self._writer.folder)
        with self._lock:
            names = {path.name for path in paths}
            self._sources = {name: source for name, source in self._sources.items() if name in names}
        try:
            for path in paths:
                self._try(path)
            while self._gone:
                self._store.forget_source(self._gone[0])
                self._gone.popleft()
            self._outage.note("")
        except StoreUnavailable as error:
            self._note_outage(error)
        self.behind_bytes = sum(map(self._uncounted_bytes, paths))

    def finish(self, path: Path) -> bool:
        """Count the rest of a closed segment. Return False if the store does not answer and the segment must be kept.

        After an outage only `tick` tries the store again. Many segments may be waiting, and each attempt may take the
        store's whole timeout.

        Raises:
            OSError: the segment cannot be read.
        """
        if self._outage.trouble:
            return False
        try:
            self._count(path)
        except StoreUnavailable as error:
            self._note_outage(error)
            return False
        return True

    def deleted(self, path: Path) -> None:
        """Note that a segment is deleted. The next tick lets the store forget it."""
        with self._lock:
            self._sources.pop(path.name, None)
        self._gone.append(path.name)

    def _try(self, path: Path) -> None:
        try:
            self._count(path)
        except FileNotFoundError:
            pass  # it was counted to its end and deleted after it was listed
        except OSError as error:
            self.failures += 1
            _log.warning("gateway.counter.unread", segment=path.name, error=str(error))

    def _count(self, path: Path) -> None:
        """Count the segment piece by piece up to where it ends now. Other threads may count in between.

        Records that are appended meanwhile wait for the next call. Otherwise a store that is slower than the traffic
        would keep this loop busy for as long as there is traffic.
        """
        written_bytes = self._writer.written_bytes(path)
        more = True
        while more:
            with self._lock:
                more = self._count_piece(path, self._sources.setdefault(path.name, _Source()), written_bytes)

    def _count_piece(self, path: Path, source: _Source, written_bytes: int) -> bool:
        """Count one piece. Return True if there may be another one before `written_bytes`."""
        if source.unreadable or written_bytes <= source.empty_to:
            return False
        if not source.certain:
            source.end = self._store.counted(path.name)
            source.certain = True
        try:
            piece = self._read(path, source)
            added = tally(source.contexts, piece.records)
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001  # damaged bytes may raise anything; the shipper sets such a segment aside
            source.unreadable = True
            self.failures += 1
            _log.error("gateway.counter.unreadable", segment=path.name, error=repr(error))
            return False
        if piece.end == source.end:
            source.empty_to = written_bytes
            return False
        source.certain = False  # until the store has replied
        source.end = self._store.count(path.name, source.end, piece.end, added)
        source.certain = True
        return source.end < written_bytes

    def _read(self, path: Path, source: _Source) -> SegmentRange:
        """Read the piece after `source.end`. If another process has counted up to there, first read its contexts."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while source.read_bytes < source.end:
                before = read_range(fd, source.read_bytes, self._piece_bytes)
                if before.end == source.read_bytes:
                    break  # bytes that were counted were lost in a power failure
                source.learn(before)
            piece = read_range(fd, source.end, self._piece_bytes)
            source.learn(piece)
            return piece
        finally:
            os.close(fd)

    def _uncounted_bytes(self, path: Path) -> int:
        source = self._sources.get(path.name)
        try:
            written_bytes = self._writer.written_bytes(path)
        except FileNotFoundError:
            return 0
        if source is None:
            return written_bytes
        return 0 if source.unreadable or written_bytes <= source.empty_to else max(0, written_bytes - source.end)

    def _note_outage(self, error: StoreUnavailable) -> None:
        self.failures += 1
        self._outage.note(str(error))
