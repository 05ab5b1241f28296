"""Shipping: closed segments are turned into Parquet, and deleted once it is safe. It runs in a background thread.

Every step may be repeated: keys are derived from the segment's name and content, and a sink stores no segment twice. A
segment is set aside, and not tried again, if it holds what no writer writes, or after three tries that failed or ended
the process (`inference_log.tries`). A full disk and a sink that is away are no fault of the segment.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
import structlog

from inference_log.conversion import Conversion
from inference_log.errors import Interrupted, SinkConflict, SinkUnavailable
from inference_log.pieces import written_end
from inference_log.sinks import Sink
from inference_log.spool import abandoned, segments
from inference_log.tries import MAX_TRIES, begin_try, forget_tries, take_back, tries
from inference_log.writer import LogWriter

_log = structlog.get_logger()

DEAD_LETTER = "dead-letter"

_PAGE_BYTES = 4096
_WHAT_TO_DO = "Read or retry it as docs/operating.md says (The log)."


def _never() -> bool:
    return False


def _always(_: Path) -> bool:
    return True


def _nothing(_: Path) -> None:
    pass


class Shipper:
    """The shipper of the segments of one replica, and of those that dead replicas left behind.

    A segment whose Parquet is stored is deleted once `may_delete` returns True. After that, `deleted` is called.
    """

    def __init__(
        self,
        spool: Path,
        folder: Path,
        writer: LogWriter,
        sink: Sink,
        *,
        may_delete: Callable[[Path], bool] = _always,
        deleted: Callable[[Path], None] = _nothing,
    ) -> None:
        self.rows_persisted = 0
        self.failures = 0
        self.set_aside = 0
        self._spool = spool
        self._folder = folder
        self._writer = writer
        self._sink = sink
        self._may_delete = may_delete
        self._deleted = deleted
        self._stored: set[Path] = set()

    def tick(self, max_age_s: float, max_bytes: int, expired: Callable[[], bool] = _never) -> None:
        """Close the active segment if it is that old or large, then ship what is closed. Log any exception.

        When `expired` returns True, what is not shipped is left to the next process.
        """
        try:
            self._writer.sync()
            self._writer.rotate(max_age_s, max_bytes)
            # Listed before the writer is asked: a segment that is opened in between is not in the list.
            listed = segments(self._folder)
            opened = self._writer.open_paths
            self.ship((path for path in listed if path not in opened), expired)
            with abandoned(self._spool) as orphans:
                self.ship(orphans, expired)
        except Exception as error:  # noqa: BLE001  # a thread that ended in silence would be worse than any of them
            self.failures += 1
            _log.warning("inference_log.roll.failed", error=repr(error))

    def ship(self, paths: Iterable[Path], expired: Callable[[], bool] = _never) -> None:
        """Read, store and delete each segment. If one fails, keep it and go on with the next."""
        for path in paths:
            if expired():
                return
            try:
                self._ship_one(path, expired)
                self._writer.close_full()  # they hold descriptors, and many segments may be waiting
            except Interrupted:
                return
            except (SinkUnavailable, OSError) as error:
                self._note_failure(path, error)

    def _ship_one(self, path: Path, expired: Callable[[], bool]) -> None:
        if path not in self._stored and not self._store(path, expired):
            return
        self._stored.add(path)
        if self._may_delete(path):
            path.unlink()
            self._stored.discard(path)
            self._deleted(path)

    def _store(self, path: Path, expired: Callable[[], bool]) -> bool:
        """Store the segment's rows in the log. Return False if that failed for a reason that lies in the segment."""
        if tries(path) >= MAX_TRIES:
            self._set_aside(path, f"{MAX_TRIES} tries to convert it ended the process")
            return False
        begin_try(path)
        conversion = Conversion(path, self._sink)
        try:
            conversion.run(expired, self._note_stored)
        except (Interrupted, SinkUnavailable, OSError):
            take_back(path)
            raise
        except (SinkConflict, pa.ArrowException, MemoryError) as error:
            if tries(path) < MAX_TRIES:
                self._note_failure(path, error)
            else:
                self._set_aside(path, f"it failed {MAX_TRIES} times: {error!r}")
            return False
        except Exception as error:  # noqa: BLE001  # the bytes may cause any error; the other segments must go on
            self._set_aside(path, repr(error))
            return False
        if not conversion.has_header and written_end(path) > _PAGE_BYTES:
            self._set_aside(path, "its first page was lost, others were not")
            return False
        if conversion.torn_bytes:
            _log.warning("inference_log.segment.torn", segment=path.name, torn_bytes=conversion.torn_bytes)
        forget_tries(path)
        return True

    def _note_stored(self, rows: int) -> None:
        self.rows_persisted += rows

    def _note_failure(self, path: Path, error: BaseException) -> None:
        self.failures += 1
        _log.error("inference_log.segment.kept", segment=path.name, error=str(error))

    def _set_aside(self, path: Path, why: str) -> None:
        self.failures += 1
        self.set_aside += 1
        folder = self._spool / DEAD_LETTER
        _log.error("inference_log.segment.set_aside", segment=str(folder / path.name), error=why, advice=_WHAT_TO_DO)
        folder.mkdir(exist_ok=True)
        path.rename(folder / path.name)
        forget_tries(path)
