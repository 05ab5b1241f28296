"""The log as it is at one moment: its Parquet files, and what each segment held up to some offset.

Segments are opened, so they can be read to the end although a shipper deletes them meanwhile. The Parquet file of a
segment that waits is left out: its rows are read from the segment.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import structlog

from inference_log.compaction.listing import stored_once
from inference_log.file_names import number_of, segment_of
from inference_log.files import LogFiles, StoredFile
from inference_log.record import Context, RewardContext
from inference_log.schema import TABLES, Table
from inference_log.segment import SUFFIX, Segment, SegmentRange, read_range, read_segment
from inference_log.spool import all_segments
from inference_log.stored import Keys, dataset

_log = structlog.get_logger()

_PIECE_BYTES = 4 * 1024 * 1024


class Piece(NamedTuple):
    """A part of a segment, with all contexts of the segment up to its end."""

    read: SegmentRange
    contexts: Mapping[int, Context]
    reward_contexts: Mapping[int, RewardContext]
    writer_id: str
    sequence: int | None


class FrozenLog:
    """The Parquet files of a log, and the segments that were not Parquet when it was opened."""

    def __init__(
        self,
        files: LogFiles,
        open_segments: Mapping[str, int],
        stored: Mapping[Table, Mapping[Keys, Sequence[StoredFile]]],
    ) -> None:
        self.ends: Mapping[str, int] = {}
        self._files = files
        self._segments = open_segments
        self._stored = stored

    @property
    def names(self) -> Sequence[str]:
        """The names of the segments."""
        return list(self._segments)

    def partitions(self, table: Table) -> Sequence[Keys]:
        """Return the values of the keys of which a table has Parquet files, in order."""
        return list(self._stored[table])

    def files_of(self, table: Table) -> Mapping[Keys, Sequence[StoredFile]]:
        """Return the Parquet files of a table by the values of its keys, in order."""
        return self._stored[table]

    def read(self, file: StoredFile, columns: Sequence[str]) -> pa.Table:
        """Return some columns of a Parquet file."""
        return pq.read_table(
            self._files.path(file.key), columns=list(columns), filesystem=self._files.filesystem, partitioning=None
        )

    def stored(self, table: Table, partitions: Iterable[Keys]) -> ds.Dataset:
        """Return the rows in the Parquet files of some partitions."""
        return dataset(self._files, table, {values: self._stored[table][values] for values in partitions})

    def segments(self) -> Iterator[Segment]:
        """Yield each segment as far as it is whole. One that is damaged is left out."""
        for name, fd in self._segments.items():
            try:
                segment = read_segment(os.pread(fd, os.fstat(fd).st_size, 0))
            except Exception as error:  # noqa: BLE001  # the shipper sets such a segment aside
                _log.warning("inference_log.segment.unreadable", segment=name, error=repr(error))
                continue
            if segment is not None:
                yield segment

    def pieces(self, *, to_end: bool = False) -> Iterator[Piece]:
        """Yield the entries of each segment up to its end in `ends`, or all. One that is damaged ends there."""
        for name, fd in self._segments.items():
            contexts: dict[int, Context] = {}
            reward_contexts: dict[int, RewardContext] = {}
            offset, end = 0, os.fstat(fd).st_size if to_end else self.ends.get(name, 0)
            segment = name.removesuffix(SUFFIX)
            writer_id, sequence = segment.rpartition("-")[0], number_of(segment)
            while offset < end:
                try:
                    piece = read_range(fd, offset, min(_PIECE_BYTES, end - offset))
                except Exception as error:  # noqa: BLE001  # the shipper sets such a segment aside
                    _log.warning("inference_log.segment.unreadable", segment=name, error=repr(error))
                    break
                if not offset < piece.end <= end:
                    break
                contexts.update(piece.contexts)
                reward_contexts.update(piece.reward_contexts)
                yield Piece(piece, contexts, reward_contexts, writer_id, sequence)
                offset = piece.end


@contextmanager
def frozen_log(files: LogFiles, spool: Path) -> Iterator[FrozenLog]:
    """Open the segments that are there now, list the Parquet files of all others, and yield both.

    Raises:
        LogUnavailable: the log cannot be read now.
    """
    opened: dict[str, int] = {}
    try:
        for path in all_segments(spool):
            try:
                opened[path.name] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # it is Parquet by now
        waiting = {name.removesuffix(SUFFIX) for name in opened}
        stored = stored_once(files, TABLES)
        yield FrozenLog(files, opened, {table: _others(each, waiting) for table, each in stored.items()})
    finally:
        for fd in opened.values():
            os.close(fd)


def _others(stored: Mapping[Keys, Sequence[StoredFile]], waiting: Collection[str]) -> dict[Keys, list[StoredFile]]:
    """Return the files without those of segments that wait."""
    kept = {values: [each for each in files if segment_of(each.key) not in waiting] for values, files in stored.items()}
    return {values: files for values, files in kept.items() if files}
