"""Adds the records in the segments of a machine to the store's sums, each exactly once.

A source is a segment. How far it is counted is an offset in its bytes, which the store keeps. The store adds a piece
only if it begins where the last one ended, and moves the end in the same step. So any process can count, as often as it
likes and whenever it dies: the next one asks for the end and goes on from there. If the store's reply was lost, the end
tells whether the piece was counted.

A segment is counted while its replica writes it. A frame that is not whole yet is left for the next look. What is new
in all segments of the machine is added in one step, so that the replicas of a machine cost the store what one costs.

A segment is deleted only when it is counted to its end. The store forgets it only when it is deleted: then no process
can read it, and so count it, again. If a process dies in between, a few bytes stay in the store until they expire.
"""

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import structlog

from gateway.control.counted_source import CountedSource
from gateway.control.reward_counter import RewardCounter, Settled, Tallied, ignore_results, tally_piece
from gateway.telemetry.periodic import LogOnce
from inference_log.spool import all_segments
from store.errors import StoreUnavailable
from store.interface import Store

_log = structlog.get_logger()

_PIECE_BYTES = 4 * 1024 * 1024
_LEAST_PIECE_BYTES = 64 * 1024
"""A store that refuses a large piece as late gets smaller ones: sums by group of units may be a hundred thousand."""
_MOST_REWARDS = 5000
"""The most rewards that are counted in one step, if the least piece has no more. A store takes some 50 ms for them."""


class LogCounter:
    """One per machine. `tick` may run in one thread while the shipper calls `finish` and `deleted` in another.

    Any thread may call `count_now`. Segments are counted independently of each other, so rewards do not wait for
    predictions. `behind_bytes` is what the last tick left uncounted, `store_s` for how long it waited for the store.
    `failures` counts failures.
    """

    def __init__(
        self, store: Store, spool: Path, piece_bytes: int = _PIECE_BYTES, settled: Settled = ignore_results
    ) -> None:
        self.behind_bytes = 0
        self.store_s = 0.0
        self.failures = 0
        self._store = store
        self._rewards = RewardCounter(store, settled)
        self._spool = spool
        self._most_bytes = self._piece_bytes = piece_bytes
        self._lock = threading.Lock()
        self._sources: dict[str, CountedSource] = {}
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
        self.store_s = 0.0
        try:
            for path in self._count_together(paths):
                self._try(path)
            while self._gone:
                self._store.forget_source(self._gone[0])
                self._gone.popleft()
            self._outage.note("")
        except StoreUnavailable as error:
            self._note_outage(error)
        self.behind_bytes = sum(self._sources.get(path.name, CountedSource(path)).behind_bytes(path) for path in paths)

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

    def _count_together(self, paths: Sequence[Path]) -> list[Path]:
        """Count what is new in segments without rewards, in one step. Return the segments that may have more.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        left: list[Path] = []
        pieces: dict[str, tuple[CountedSource, Tallied]] = {}
        room = self._piece_bytes
        with ExitStack() as held:
            for path in sorted(paths):
                with self._lock:
                    source = self._sources.setdefault(path.name, CountedSource(path))
                with ExitStack() as one:  # those that are counted alone do not wait for this step
                    one.enter_context(source.lock)
                    tallied = _tally_small(source, room) if room else None
                    if tallied is None:
                        left.append(path)
                    elif not source.is_counted:
                        pieces[path.name] = source, tallied
                        room = max(0, room - 2 * (tallied.end - source.end))
                        held.enter_context(one.pop_all())
            self._add_all(pieces)
        return [*left, *(source.path for source, tallied in pieces.values() if not room or source.end != tallied.end)]

    def _add_all(self, pieces: Mapping[str, tuple[CountedSource, Tallied]]) -> None:
        """Add pieces of several segments, all or none."""
        if not pieces:
            return
        ranges = {name: (source.end, tallied.end) for name, (source, tallied) in pieces.items()}
        for source, _ in pieces.values():
            source.certain = False  # until the store has replied
        began_s = time.monotonic()
        try:
            ends = self._rewards.add_all(ranges, [tallied for _, tallied in pieces.values()])
        except StoreUnavailable:
            self._shrink()
            raise
        self.store_s = time.monotonic() - began_s
        for name, (source, _) in pieces.items():
            source.end, source.certain = ends[name], True
        self._piece_bytes = min(2 * self._piece_bytes, self._most_bytes)

    def _count(self, path: Path) -> None:
        """Count the segment piece by piece up to where its file ends now. Other threads may count in between.

        Records that are appended after that wait for the next call. Otherwise a store that is slower than the traffic
        would keep this loop busy for as long as there is traffic.
        """
        size = path.stat().st_size
        more = True
        while more:
            with self._lock:
                source = self._sources.setdefault(path.name, CountedSource(path))
            with source.lock:
                more = self._count_piece(path, source, size)

    def _count_piece(self, path: Path, source: CountedSource, size: int) -> bool:
        """Count one piece. Return True if there may be another one before `size`."""
        if source.unreadable:
            return False
        if not source.certain:
            source.end = self._store.counted(path.name)
            source.certain = True
        try:
            piece = source.read(self._piece_bytes)
            while len(piece.rewards) > _MOST_REWARDS and self._shrink():
                piece = source.read(self._piece_bytes)
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

    def _note_outage(self, error: StoreUnavailable) -> None:
        self.failures += 1
        self._outage.note(str(error))


def _tally_small(source: CountedSource, limit_bytes: int) -> Tallied | None:
    """Return about `limit_bytes` of what is new in a segment. None if it must be counted alone, with its errors."""
    if source.unreadable or not source.certain:
        return None
    try:
        piece = source.read(limit_bytes)
        source.is_counted = piece.end == source.end
        return None if piece.rewards else tally_piece(piece, source.contexts, source.reward_contexts)
    except Exception:  # noqa: BLE001  # damaged bytes may raise anything, and so they do again when it is counted alone
        return None
