"""Counts what the segments of a replica say into the store's sums, exactly once. Acts.

A source is a segment, and what was counted of it is an offset in its bytes. The store adds a piece only where the
last one ended, and moves the end in the same step; so whoever counts, as often as he likes and however he dies, asks
for the end and goes on from there. Where an answer was lost, the end tells whether the piece was counted.

A segment is deleted only when it is counted to its end, and forgotten by the store only when it is deleted: nobody
can then read it, and so count it, again. Where a process dies in between, a few bytes stay in the store until they
expire.
"""

import os
import threading
from collections import deque
from pathlib import Path

import structlog

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
    """What is known of one segment: where counting goes on, and the contexts of what lies before `read_bytes`.

    `certain` says whether `end` is the store's word. Up to `empty_to` there is nothing behind `end`.
    """

    def __init__(self) -> None:
        self.end = 0
        self.certain = False
        self.empty_to = 0
        self.read_bytes = 0
        self.contexts: dict[int, Context] = {}
        self.unreadable = False

    def learn(self, piece: SegmentRange) -> None:
        """Keeps the contexts of a piece for those that follow."""
        self.contexts.update(piece.contexts)
        self.read_bytes = max(self.read_bytes, piece.end)


class LogCounter:
    """One per replica. `tick` may run in one thread while the roller calls `finish` and `deleted` in another.

    `behind_bytes` is what the last tick left uncounted of the replica's own segments; `failures` how often counting
    did not work.
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
        self._answers = True

    def tick(self) -> None:
        """Counts what is new in the replica's own segments; never raises what the store or a file may raise."""
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
            self._answers = True
        except StoreUnavailable as error:
            self._unanswered(error)
        self.behind_bytes = sum(map(self._uncounted_bytes, paths))

    def finish(self, path: Path) -> bool:
        """Counts what is left of a closed segment; False if the store does not answer, so that it must be kept.

        A store that did not answer is asked again by `tick` alone: many segments may wait, and each question may
        take as long as a store is given.

        Raises:
            OSError: the segment cannot be read.
        """
        if not self._answers:
            return False
        try:
            self._count(path)
        except StoreUnavailable as error:
            self._unanswered(error)
            return False
        return True

    def deleted(self, path: Path) -> None:
        """The segment is gone: the next tick lets the store forget it."""
        with self._lock:
            self._sources.pop(path.name, None)
        self._gone.append(path.name)

    def _try(self, path: Path) -> None:
        try:
            self._count(path)
        except FileNotFoundError:
            pass  # counted to its end and deleted since it was listed
        except OSError as error:
            self.failures += 1
            _log.warning("gateway.counter.unread", segment=path.name, error=str(error))

    def _count(self, path: Path) -> None:
        """Piece by piece to where the segment ends now; others may count in between. What comes meanwhile is left for
        the next time: a store that is slower than the traffic would keep this busy for as long as there is any.
        """
        written_bytes = self._writer.written_bytes(path)
        more = True
        while more:
            with self._lock:
                more = self._count_piece(path, self._sources.setdefault(path.name, _Source()), written_bytes)

    def _count_piece(self, path: Path, source: _Source, written_bytes: int) -> bool:
        """Whether there may be another one before `written_bytes`."""
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
        except Exception as error:  # noqa: BLE001  # whatever the bytes provoke; the roller sets such a segment aside
            source.unreadable = True
            self.failures += 1
            _log.error("gateway.counter.unreadable", segment=path.name, error=repr(error))
            return False
        if piece.end == source.end:
            source.empty_to = written_bytes
            return False
        source.certain = False  # until the store has answered
        source.end = self._store.count(path.name, source.end, piece.end, added)
        source.certain = True
        return source.end < written_bytes

    def _read(self, path: Path, source: _Source) -> SegmentRange:
        """What follows `source.end`. Where somebody else has counted so far, the contexts before it are read first."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while source.read_bytes < source.end:
                before = read_range(fd, source.read_bytes, self._piece_bytes)
                if before.end == source.read_bytes:
                    break  # what was counted here was lost with the machine's power
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

    def _unanswered(self, error: StoreUnavailable) -> None:
        self.failures += 1
        if self._answers:  # said once, not twice a second until it is back
            _log.warning("gateway.counter.store_failed", error=str(error))
        self._answers = False
