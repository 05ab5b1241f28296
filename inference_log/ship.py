"""Shipping: closed segments are turned into Parquet, and deleted once it is safe. It runs in a background thread.

Every step may be repeated: keys are derived from the segment's name and content, and a sink stores no segment twice. A
damaged segment is shipped up to the damage, and what is whole behind it is shipped next (`inference_log.salvage`). A
segment is set aside, and not tried again, if it holds what no writer writes, or after three tries that failed or ended
the process that converted it (`inference_log.tries`). A full disk and a sink that is away are no fault of the segment.
It is tried again, less and less often: each try converts it anew. If a few in a row are not taken, the rest waits, too.
"""

import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from inference_log.converter import Converted, Converter, Outcome
from inference_log.pauses import Pauses
from inference_log.salvage import salvage
from inference_log.segment_lock import claimed
from inference_log.spool import DEAD_LETTER, all_segments
from inference_log.tries import MAX_TRIES, forget_tries, is_due, note_failed_try

_log = structlog.get_logger()

_MOST_IN_A_ROW = 3
"""So many segments that the sink does not take, one after the other, mean that it takes none now."""

_WHAT_TO_DO = "Read or retry it as docs/operating.md says (The log)."


def _never() -> bool:
    return False


def _always(_: Path) -> bool:
    return True


def _nothing(_: Path) -> None:
    pass


class Shipper:
    """The shipper of all segments of a spool that no process is writing.

    A segment whose Parquet is stored is deleted once `may_delete` returns True. After that, `deleted` is called. `now`
    returns the seconds since the epoch. `failed` counts failures by a short name, and `trouble` is the sentence of the
    last one, until a segment is stored. `cut_bytes` and `cut_rows` count what was damaged.
    """

    def __init__(
        self,
        spool: Path,
        converter: Converter,
        *,
        may_delete: Callable[[Path], bool] = _always,
        deleted: Callable[[Path], None] = _nothing,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.rows_persisted = 0
        self.failures = 0
        self.failed: Counter[str] = Counter()
        self.trouble = ""
        self.set_aside = 0
        self.cut_bytes = self.cut_rows = 0
        self._spool = spool
        self._converter = converter
        self._may_delete = may_delete
        self._deleted = deleted
        self._now = now
        self._stored: set[Path] = set()
        self._torn: set[Path] = set()
        self._pauses = Pauses()
        self._in_a_row = 0
        self._stopped_at = Path()

    def tick(self, expired: Callable[[], bool] = _never, *, is_last: bool = False) -> None:
        """Ship what is closed. When `expired` returns True, leave the rest to the next tick or process.

        The last tick of a process waits for no pause.
        """
        waiting = all_segments(self._spool)
        # It goes on where it stopped: those that are never taken must not be the only ones that are tried.
        begin = bisect_right(waiting, self._stopped_at)
        waiting = waiting[begin:] + waiting[:begin]
        if is_last:
            self._pauses.end()
        self._pauses.keep([self._spool, *waiting])
        self.ship(waiting, expired)

    def is_stored(self, path: Path) -> bool:
        """Return True if the rows of a segment are stored, and only its deletion waits. Any thread may ask."""
        return path in self._stored

    def ship(self, paths: Iterable[Path], expired: Callable[[], bool] = _never) -> None:
        """Read, store and delete each segment that no process is writing. If one fails, go on with the next."""
        self._in_a_row, last = 0, Path()
        if self._pauses.holds(self._spool, self._now()):
            return
        for path in paths:
            if self._in_a_row == _MOST_IN_A_ROW:
                self._pauses.begin(self._spool, self._now())
                self._stopped_at = last
                return
            if expired():
                return
            if self._pauses.holds(path, self._now()):
                continue
            last = path
            try:
                with claimed(path) as is_closed:
                    if is_closed and is_due(path, self._now()):
                        self._ship_one(path, expired)
            except (OSError, MemoryError) as error:
                self._note_failure(path, str(error), "disk")

    def _ship_one(self, path: Path, expired: Callable[[], bool]) -> None:
        if path not in self._stored:
            converted = self._converter.convert(path, expired)
            self.rows_persisted += converted.rows
            if not self._is_stored(path, converted):
                return
            self._stored.add(path)
        if self._may_delete(path):
            if path in self._torn:
                self._salvage(path)
            path.unlink()
            self._stored.discard(path)
            self._deleted(path)

    def _is_stored(self, path: Path, converted: Converted) -> bool:
        """Return True if the segment's rows are stored; otherwise note why they are not."""
        match converted.outcome:
            case Outcome.STORED:
                if converted.torn_bytes:
                    self._torn.add(path)
                forget_tries(path)
                self.trouble, self._in_a_row = "", 0
                self._pauses.forget(self._spool)
                return True
            case Outcome.INTERRUPTED:
                pass
            case Outcome.UNAVAILABLE:
                self._in_a_row += 1
                self._pauses.begin(path, self._now())
                self._note_failure(path, converted.sentence, converted.code)
            case Outcome.FAILED:
                if note_failed_try(path, self._now()) < MAX_TRIES:
                    self._note_failure(path, converted.sentence, converted.code)
                else:
                    self._set_aside(path, f"it failed {MAX_TRIES} times: {converted.sentence}", converted.code)
            case Outcome.REFUSED:
                self._set_aside(path, converted.sentence, converted.code)
        return False

    def _salvage(self, path: Path) -> None:
        """Let what is whole behind the damage wait for the next tick. Count the rest."""
        cut = salvage(path)
        self._torn.discard(path)
        self.cut_bytes += cut.bytes
        self.cut_rows += cut.rows
        _log.warning("inference_log.segment.torn", segment=path.name, cut_bytes=cut.bytes, cut_rows=cut.rows)

    def _note_failure(self, path: Path, sentence: str, code: str) -> None:
        self.failures += 1
        self.failed[code] += 1
        self.trouble = sentence
        _log.error("inference_log.segment.kept", segment=path.name, error=sentence)

    def _set_aside(self, path: Path, why: str, code: str) -> None:
        folder = self._spool / DEAD_LETTER
        folder.mkdir(exist_ok=True)
        path.rename(folder / path.name)
        forget_tries(path)
        self.failures += 1
        self.failed[code] += 1
        self.set_aside += 1
        _log.error("inference_log.segment.set_aside", segment=str(folder / path.name), error=why, advice=_WHAT_TO_DO)
