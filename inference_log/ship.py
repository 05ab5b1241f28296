"""Shipping: closed segments are turned into Parquet, and deleted once it is safe. It runs in a background thread.

Every step may be repeated: keys are derived from the segment's name and content, and a sink stores no segment twice. A
segment that cannot be turned into rows at all is set aside and never tried again.
"""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
import structlog

from inference_log.errors import SinkConflict, SinkUnavailable
from inference_log.parquet import encode
from inference_log.rows import partition_rows
from inference_log.schema import Partition
from inference_log.segment import SUFFIX, read_segment
from inference_log.sinks import Sink
from inference_log.spool import abandoned, segments
from inference_log.writer import LogWriter

_log = structlog.get_logger()

DEAD_LETTER = "dead-letter"

_PAGE_BYTES = 4096


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
        self._spool = spool
        self._folder = folder
        self._writer = writer
        self._sink = sink
        self._may_delete = may_delete
        self._deleted = deleted
        self._stored: set[Path] = set()

    def tick(self, max_age_s: float, max_bytes: int) -> None:
        """Close the active segment if it is that old or large, then ship what is closed. Log any exception."""
        try:
            self._writer.sync()
            self._writer.rotate(max_age_s, max_bytes)
            # Listed before the writer is asked: a segment that is opened in between is not in the list.
            listed = segments(self._folder)
            opened = self._writer.open_paths
            self.ship(path for path in listed if path not in opened)
            with abandoned(self._spool) as orphans:
                self.ship(orphans)
        except Exception as error:  # noqa: BLE001  # a thread that ended in silence would be worse than any of them
            self.failures += 1
            _log.warning("inference_log.roll.failed", error=repr(error))

    def ship(self, paths: Iterable[Path]) -> None:
        """Read, store and delete each segment. If one fails, keep it and go on with the next."""
        for path in paths:
            try:
                self._ship_one(path)
            except (SinkConflict, SinkUnavailable, OSError, pa.ArrowException) as error:
                self.failures += 1
                _log.error("inference_log.segment.kept", segment=path.name, error=str(error))

    def _ship_one(self, path: Path) -> None:
        if path not in self._stored and not self._store(path):
            return
        self._stored.add(path)
        if self._may_delete(path):
            path.unlink()
            self._stored.discard(path)
            self._deleted(path)

    def _store(self, path: Path) -> bool:
        """Store the segment's rows in the log. Return False if they cannot be read and the segment was set aside."""
        content = path.read_bytes()
        try:
            segment = read_segment(content)
            partitions = {} if segment is None else partition_rows(segment)
        except Exception as error:  # noqa: BLE001  # the bytes may cause any error; the other segments must go on
            self._set_aside(path, repr(error))
            return False
        if segment is None and len(content.rstrip(b"\0")) > _PAGE_BYTES:
            self._set_aside(path, "its first page was lost, others were not")
            return False
        if segment is not None and segment.torn_bytes:
            _log.warning("inference_log.segment.torn", segment=path.name, torn_bytes=segment.torn_bytes)
        digest = hashlib.sha256(content).hexdigest()
        for partition, table in partitions.items():
            if self._sink.put(_key(partition, path, digest), encode(table, digest), digest):
                self.rows_persisted += table.num_rows
        return True

    def _set_aside(self, path: Path, why: str) -> None:
        self.failures += 1
        _log.error("inference_log.segment.set_aside", segment=path.name, error=why)
        folder = self._spool / DEAD_LETTER
        folder.mkdir(exist_ok=True)
        path.rename(folder / path.name)


def _key(partition: Partition, path: Path, digest: str) -> str:
    return f"{partition.path}/{path.name.removesuffix(SUFFIX)}-{digest[:8]}.parquet"
