"""Adds the records in the segments of a machine to the store's sums, each exactly once.

A source is a segment. How far it is counted is an offset in its bytes, which the store keeps. The store adds a piece
only if it begins where the last one ended, and moves the end in the same step. So any process can count, as often as it
likes and whenever it dies: the next one asks for the end and goes on from there. If the store's reply was lost, the end
tells whether the piece was counted.

A segment is counted while its replica writes it. A frame that is not whole yet is left for the next look.

A segment is deleted only when it is counted to its end. The store forgets it only when it is deleted: then no process
can read it, and so count it, again. If a process dies in between, a few bytes stay in the store until they expire.
"""

import os
import threading
from collections import deque
from pathlib import Path

import structlog

from gateway.control.reward_counter import RewardCounter, Settled, ignore_results, tally_piece
from gateway.telemetry.periodic import LogOnce
from inference_log.pieces import written_end
from inference_log.record import Context, RewardContext
from inference_log.segment import SegmentRange, read_range
from inference_log.spool import all_segments
from inference_log.writer import CHUNK_BYTES
from store.errors import StoreUnavailable
from store.interface import Store

_log = structlog.get_logger()

_PIECE_BYTES = 4 * 1024 * 1024
_LEAST_PIECE_BYTES = 64 * 1024
"""A store that refuses a large piece as late gets smaller ones: sums by group of units may be a hundred thousand."""
_MOST_REWARDS = 5000
"""The most rewards that are counted in one step, if the least piece has no more. A store takes some 50 ms for them."""


class _Source:
    """The state of one segment: where counting goes on, and the contexts of the bytes before `read_bytes`.

    `certain` is True if `end` is what the store last replied. `is_counted` is True if the last look found nothing after
    `end`. One thread at a time counts it, and holds `lock`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.Lock()
        self.end = 0
        self.certain = False
        self.is_counted = False
        self.read_bytes = 0
        self.contexts: dict[int, Context] = {}
        self.reward_contexts: dict[int, RewardContext] = {}
        self.unreadable = False

    def behind_bytes(self, path: Path) -> int:
        """Return how many bytes wait to be counted."""
        if self.is_counted or self.unreadable:
            return 0
        try:
            written = size = path.stat().st_size
            if size % CHUNK_BYTES == 0:
                written = written_end(path, max(self.end, size - CHUNK_BYTES))
        except OSError:  # it is gone, or the next tick says why it cannot be read
            return 0
        return max(0, written - self.end)

    def learn(self, piece: SegmentRange) -> None:
        """Keep the contexts of a piece for the pieces that follow."""
        self.contexts.update(piece.contexts)
        self.reward_contexts.update(piece.reward_contexts)
        self.read_bytes = max(self.read_bytes, piece.end)


class LogCounter:
    """One per machine. `tick` may run in one thread while the shipper calls `finish` and `deleted` in another.

    Any thread may call `count_now`. Segments are counted independently of each other, so rewards do not wait for
    predictions. `behind_bytes` is what the last tick left uncounted. `failures` counts failures.
    """

    def __init__(
        self, store: Store, spool: Path, piece_bytes: int = _PIECE_BYTES, settled: Settled = ignore_results
    ) -> None:
        self.behind_bytes = 0
        self.failures = 0
        self._store = store
        self._rewards = RewardCounter(store, settled)
        self._spool = spool
        self._most_bytes = self._piece_bytes = piece_bytes
        self._lock = threading.Lock()
        self._sources: dict[str, _Source] = {}
        self._gone: deque[str] = deque()
        self._outage = LogOnce("gateway.counter.store_failed")

    def tick(self) -> None:
        """Count what is new. Never raise an error of the store or of a file."""
        paths = all_segments(self._spool)
        with self._lock:
            names = {path.name for path in paths}
            # A segment that was begun since they were listed may be counted by another thread now: it keeps its source,
            # so that no two threads count it at once.
            self._sources = {
                name: source for name, source in self._sources.items() if name in names or source.path.exists()
            }
        try:
            for path in paths:
                self._try(path)
            while self._gone:
                self._store.forget_source(self._gone[0])
                self._gone.popleft()
            self._outage.note("")
        except StoreUnavailable as error:
            self._note_outage(error)
        self.behind_bytes = sum(self._sources.get(path.name, _Source(path)).behind_bytes(path) for path in paths)

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

    @property
    def trouble(self) -> str:
        """Why the store did not answer when it was asked last, or empty."""
        return self._outage.trouble

    def count_now(self, path: Path) -> None:
        """Count a segment up to where its file ends now. It may be written at the same time.

        Raises:
            StoreUnavailable: the store does not answer. `tick` tries again.
            OSError: the segment cannot be read.
        """
        try:
            self._count(path)
        except StoreUnavailable as error:
            self._note_outage(error)
            raise

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
        except (OSError, MemoryError) as error:
            self.failures += 1
            _log.warning("gateway.counter.unread", segment=path.name, error=repr(error))

    def _count(self, path: Path) -> None:
        """Count the segment piece by piece up to where its file ends now. Other threads may count in between.

        Records that are appended after that wait for the next call. Otherwise a store that is slower than the traffic
        would keep this loop busy for as long as there is traffic.
        """
        size = path.stat().st_size
        more = True
        while more:
            with self._lock:
                source = self._sources.setdefault(path.name, _Source(path))
            with source.lock:
                more = self._count_piece(path, source, size)

    def _count_piece(self, path: Path, source: _Source, size: int) -> bool:
        """Count one piece. Return True if there may be another one before `size`."""
        if source.unreadable:
            return False
        if not source.certain:
            source.end = self._store.counted(path.name)
            source.certain = True
        try:
            piece = self._read(path, source)
            while len(piece.rewards) > _MOST_REWARDS and self._shrink():
                piece = self._read(path, source)
            tallied = tally_piece(piece, source.contexts, source.reward_contexts)
        except (OSError, MemoryError):  # no fault of the segment
            raise
        except Exception as error:  # noqa: BLE001  # damaged bytes may raise anything; the shipper sets such a segment aside
            source.unreadable = True
            self.failures += 1
            _log.error("gateway.counter.unreadable", segment=path.name, error=repr(error))
            return False
        source.is_counted = piece.end == source.end
        if source.is_counted:
            return False
        source.certain = False  # until the store has replied
        try:
            source.end = self._rewards.add(path.name, source.end, tallied)
        except StoreUnavailable:
            self._shrink()
            raise
        source.certain = True
        if 2 * len(piece.rewards) <= _MOST_REWARDS:
            self._piece_bytes = min(2 * self._piece_bytes, self._most_bytes)
        return source.end < size

    def _shrink(self) -> bool:
        """Halve the pieces that are counted at once. Return False if they cannot be smaller."""
        before = self._piece_bytes
        self._piece_bytes = max(before // 2, min(_LEAST_PIECE_BYTES, self._most_bytes))
        return self._piece_bytes < before

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

    def _note_outage(self, error: StoreUnavailable) -> None:
        self.failures += 1
        self._outage.note(str(error))
