"""The conversion of one segment into Parquet: one file for each partition, written piece by piece.

No more than a piece is in memory (`inference_log.pieces`). A file's row groups are the pieces, in their order. Rows are
sorted by time within each of them. A file's name is derived from the segment's name and content.
"""

import contextlib
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import pyarrow as pa

from inference_log.errors import Interrupted
from inference_log.file_names import parquet_name
from inference_log.parquet import open_writer
from inference_log.pieces import DEFAULT_LIMITS, PieceLimits, read_pieces
from inference_log.rows import partition_rows
from inference_log.schema import Partition
from inference_log.segment import SUFFIX
from inference_log.sinks import Sink

MAX_OPEN_FILES = 64
"""A segment of more partitions is read again for each further group of them, so that descriptors suffice."""


class Conversion:
    """The conversion of one segment. `has_header` is False if there was nothing to read."""

    def __init__(self, path: Path, sink: Sink, limits: PieceLimits = DEFAULT_LIMITS) -> None:
        self.has_header = False
        self.torn_bytes = 0
        self._path = path
        self._sink = sink
        self._limits = limits

    def run(self, expired: Callable[[], bool], stored: Callable[[int], None]) -> None:
        """Store the segment's rows. Call `stored` with the number of rows of each file that is new.

        Raises:
            MemoryError: there is too little.
            Interrupted: `expired` returned True before a piece, or after a file.
            SinkConflict, SinkRefused, SinkUnavailable: see `Sink`.
            OSError: the segment cannot be read, or a file cannot be written.
            Exception: of any kind, if the segment holds values that no writer of ours has written.
        """
        with self._path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        done: set[Partition] = set()
        try:
            while True:
                files = _Files(self._sink, self._path.name.removesuffix(SUFFIX), digest, done)
                try:
                    self._write(files, expired)
                    files.store(expired, stored)
                finally:
                    files.discard()
                if not files.has_skipped:
                    return
        finally:
            # Otherwise the pool keeps what the largest piece took.
            pa.default_memory_pool().release_unused()

    def _write(self, files: "_Files", expired: Callable[[], bool]) -> None:
        for piece in read_pieces(self._path, self._limits):
            if expired():
                raise Interrupted(f"{self._path.name} was not converted to its end.")
            self.has_header, self.torn_bytes = True, piece.torn_bytes
            for partition, rows in partition_rows(piece, files.wants).items():
                files.write(partition, rows)


class _Files:
    """The files of up to `MAX_OPEN_FILES` partitions. Those in `done` are stored already; `store` adds to them."""

    def __init__(self, sink: Sink, name: str, digest: str, done: set[Partition]) -> None:
        self.has_skipped = False
        self._sink, self._name, self._digest, self._done = sink, name, digest, done
        self._wanted: set[Partition] = set()
        self._open: dict[Partition, tuple[Path, Any]] = {}
        self._rows: dict[Partition, int] = {}

    def wants(self, partition: Partition) -> bool:
        """Return True if the partition is not done and does not have to wait. It is remembered."""
        if partition in self._wanted or partition in self._done:
            return partition not in self._done
        self.has_skipped = self.has_skipped or len(self._wanted) == MAX_OPEN_FILES
        if len(self._wanted) < MAX_OPEN_FILES:
            self._wanted.add(partition)
        return partition in self._wanted

    def write(self, partition: Partition, rows: pa.Table) -> None:
        """Append rows to the partition's file, if it is wanted."""
        if not self.wants(partition):
            return
        if partition not in self._open:
            staged = self._sink.staging_path(self._key(partition), self._digest)
            self._open[partition] = staged, open_writer(staged, rows.schema, self._digest)
        self._open[partition][1].write_table(rows)
        self._rows[partition] = self._rows.get(partition, 0) + rows.num_rows

    def store(self, expired: Callable[[], bool], stored: Callable[[int], None]) -> None:
        """End the files and give them to the sink, several at once. Once one has failed, no other is begun."""
        for _, writer in self._open.values():
            writer.close()
        with ThreadPoolExecutor(self._sink.puts_at_once) as pool:
            try:
                putting = {pool.submit(self._put, partition): partition for partition in self._open}
            except RuntimeError as error:  # what Python raises if there is no memory for a thread
                raise MemoryError(str(error)) from error
            try:
                for count, future in enumerate(as_completed(putting), 1):
                    if future.result():
                        stored(self._rows[putting[future]])
                    self._done.add(putting[future])
                    if expired() and count < len(putting):
                        raise Interrupted(f"{self._name} was not stored to its end.")
            finally:
                pool.shutdown(cancel_futures=True)

    def _put(self, partition: Partition) -> bool:
        return self._sink.put(self._key(partition), self._open[partition][0], self._digest)

    def discard(self) -> None:
        """Remove what was not stored."""
        for staged, writer in self._open.values():
            with contextlib.suppress(OSError, pa.ArrowException):
                writer.close()
            staged.unlink(missing_ok=True)

    def _key(self, partition: Partition) -> str:
        return f"{partition.path}/{parquet_name(self._name, self._digest)}"
