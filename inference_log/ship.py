"""Shipping: closed segments are turned into Parquet, and deleted once it is safe. It runs in a background thread.

Every step may be repeated: keys are derived from the segment's name and content, and a sink stores no segment twice. A
segment is set aside, and not tried again, if it holds what no writer writes, or after three tries that failed or ended
the process that converted it (`inference_log.tries`). A full disk and a sink that is away are no fault of the segment.
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from inference_log.converter import Converted, Converter, Outcome
from inference_log.segment_lock import claimed
from inference_log.spool import DEAD_LETTER, all_segments
from inference_log.tries import MAX_TRIES, forget_tries, is_due, note_failed_try

_log = structlog.get_logger()

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
    returns the seconds since the epoch.
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
        self.set_aside = 0
        self._spool = spool
        self._converter = converter
        self._may_delete = may_delete
        self._deleted = deleted
        self._now = now
        self._stored: set[Path] = set()

    def tick(self, expired: Callable[[], bool] = _never) -> None:
        """Ship what is closed. When `expired` returns True, leave the rest to the next tick or process."""
        self.ship(all_segments(self._spool), expired)

    def ship(self, paths: Iterable[Path], expired: Callable[[], bool] = _never) -> None:
        """Read, store and delete each segment that no process is writing. If one fails, go on with the next."""
        for path in paths:
            if expired():
                return
            try:
                with claimed(path) as is_closed:
                    if is_closed and is_due(path, self._now()):
                        self._ship_one(path, expired)
            except (OSError, MemoryError) as error:
                self._note_failure(path, str(error))

    def _ship_one(self, path: Path, expired: Callable[[], bool]) -> None:
        if path not in self._stored:
            converted = self._converter.convert(path, expired)
            self.rows_persisted += converted.rows
            if not self._is_stored(path, converted):
                return
            self._stored.add(path)
        if self._may_delete(path):
            path.unlink()
            self._stored.discard(path)
            self._deleted(path)

    def _is_stored(self, path: Path, converted: Converted) -> bool:
        """Return True if the segment's rows are stored; otherwise note why they are not."""
        match converted.outcome:
            case Outcome.STORED:
                if converted.torn_bytes:
                    _log.warning("inference_log.segment.torn", segment=path.name, torn_bytes=converted.torn_bytes)
                forget_tries(path)
                return True
            case Outcome.INTERRUPTED:
                pass
            case Outcome.UNAVAILABLE:
                self._note_failure(path, converted.sentence)
            case Outcome.FAILED:
                if note_failed_try(path, self._now()) < MAX_TRIES:
                    self._note_failure(path, converted.sentence)
                else:
                    self._set_aside(path, f"it failed {MAX_TRIES} times: {converted.sentence}")
            case Outcome.REFUSED:
                self._set_aside(path, converted.sentence)
        return False

    def _note_failure(self, path: Path, sentence: str) -> None:
        self.failures += 1
        _log.error("inference_log.segment.kept", segment=path.name, error=sentence)

    def _set_aside(self, path: Path, why: str) -> None:
        folder = self._spool / DEAD_LETTER
        folder.mkdir(exist_ok=True)
        path.rename(folder / path.name)
        forget_tries(path)
        self.failures += 1
        self.set_aside += 1
        _log.error("inference_log.segment.set_aside", segment=str(folder / path.name), error=why, advice=_WHAT_TO_DO)
