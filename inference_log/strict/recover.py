"""Turns the parts of segments that were never shipped into Parquet, once. It may be run twice, and be killed.

A segment is made of its parts again, under its name. So its files have the names that the shipper would have given them
for these bytes, and a second run stores nothing. If a part of it was shipped before the machine was lost, only those
files are stored that the log does not have. If its machine lives after all and ships it with more rows, the log has two
files of it: views show each row once, and a compaction leaves one.

Parts are removed once their segment gets no more of them, and their rows are stored.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from inference_log.converter import Outcome
from inference_log.errors import SinkUnavailable
from inference_log.file_names import PARQUET, segment_of
from inference_log.files import LogFiles
from inference_log.local_converter import LocalConverter
from inference_log.parquet import rows_of
from inference_log.pieces import read_pieces
from inference_log.schema import TABLES
from inference_log.segment import SUFFIX
from inference_log.sinks import Sink
from inference_log.strict.acknowledge import PUT_FOR_S
from inference_log.strict.parts import Part, parts_by_segment, read_parts, remove_parts

KEEP_S = 2 * PUT_FOR_S
"""Parts stay until the last row in them is older than this. Clocks of machines may differ by half of it."""

Count = Callable[[Path, bool], None]
"""Adds a segment to the store's sums, as far as it is not in them. It is told if the log had files of the segment."""


class State(StrEnum):
    """What became of the parts of a segment."""

    STORED = "stored"
    WAITS = "waits"  # its machine may live, and ship it
    INCOMPLETE = "incomplete"  # parts are missing, and what is behind them is not in the log
    FAILED = "failed"


class Recovered(NamedTuple):
    """A segment of which there were parts. `rows` are new in the log. `sentence` says why it failed."""

    segment: str
    state: State
    rows: int = 0
    parts: int = 0
    removed: bool = False
    sentence: str = ""


class Recovery:
    """One run. The empty `folder` takes one segment at a time that is made again.

    `count`: see `Count`. `now_us` is in microseconds since the epoch.
    """

    def __init__(self, files: LogFiles, sink: Sink, folder: Path, count: Count, now_us: int) -> None:
        self._files = files
        self._converter = LocalConverter(_LackingSink(sink, files, lambda: self._stored))
        self._folder = folder
        self._count = count
        self._now_us = now_us

    def run(self, older_than_s: float) -> Iterator[Recovered]:
        """Recover every segment whose last row is older than this, and yield what became of each segment.

        Raises:
            LogUnavailable: the log cannot be read or changed now. What was yielded before is done.
            OSError: the folder cannot be written.
        """
        for segment, parts in parts_by_segment(self._files).items():
            yield self._recover(segment, parts, older_than_s)._replace(parts=len(parts))

    def _recover(self, segment: str, parts: Sequence[Part], older_than_s: float) -> Recovered:
        path = self._folder / f"{segment}{SUFFIX}"
        content = read_parts(self._files, parts)
        if not content:
            return self._without_beginning(segment, parts)
        path.write_bytes(content)
        try:
            newest_us = _newest_us(path)
            if not newest_us:
                return Recovered(segment, State.FAILED, sentence="it has no row that can be read")
            age_s = (self._now_us - newest_us) / 1e6
            if age_s < older_than_s:
                return Recovered(segment, State.WAITS)
            self._count(path, segment in self._names)  # first: a run that is killed after it finds that it was counted
            converted = self._converter.convert(path, lambda: False)
        finally:
            path.unlink()
        if converted.outcome is not Outcome.STORED or converted.torn_bytes:
            why = converted.sentence or f"{converted.torn_bytes:,} bytes of it are damaged"
            return Recovered(segment, State.FAILED, converted.rows, sentence=why)
        if len(content) < max(part.end for part in parts):
            return Recovered(segment, State.INCOMPLETE, converted.rows, sentence="a part in its middle is missing")
        if age_s > KEEP_S:
            remove_parts(self._files, parts)
        return Recovered(segment, State.STORED, converted.rows, removed=age_s > KEEP_S)

    def _without_beginning(self, segment: str, parts: Sequence[Part]) -> Recovered:
        """Remove what was put while its segment was being stored and its other parts removed."""
        if segment not in self._names:
            return Recovered(segment, State.INCOMPLETE)
        remove_parts(self._files, parts)
        return Recovered(segment, State.STORED, removed=True)

    @cached_property
    def _stored(self) -> Mapping[tuple[str, str], Sequence[str]]:
        """The keys of Parquet files, by the folder of their partition and the segment of which they have rows."""
        found: dict[tuple[str, str], list[str]] = {}
        for table in TABLES:
            for each in self._files.list(f"{table.name}/"):
                if each.key.endswith(PARQUET):
                    found.setdefault((each.key.rpartition("/")[0], segment_of(each.key)), []).append(each.key)
        return found

    @cached_property
    def _names(self) -> Collection[str]:
        return {segment for _, segment in self._stored}


class _LackingSink:
    """A sink that stores a file unless the log has one of the same segment and partition with as many rows.

    Two files of one segment and partition have the rows of two beginnings of it. The one with more rows has all of the
    other.
    """

    def __init__(
        self, sink: Sink, files: LogFiles, stored: Callable[[], Mapping[tuple[str, str], Sequence[str]]]
    ) -> None:
        self.puts_at_once = sink.puts_at_once
        self._sink = sink
        self._files = files
        self._stored = stored

    def staging_path(self, key: str, segment_sha256: str) -> Path:
        """See `Sink.staging_path`."""
        return self._sink.staging_path(key, segment_sha256)

    def put(self, key: str, staged: Path, segment_sha256: str) -> bool:
        """See `Sink.put`."""
        rows = rows_of(staged)
        for other in self._stored().get((key.rpartition("/")[0], segment_of(key)), ()):
            if self._rows(other) >= rows:
                staged.unlink(missing_ok=True)
                return False
        return self._sink.put(key, staged, segment_sha256)

    def _rows(self, key: str) -> int:
        try:
            with self._files.filesystem.open_input_file(self._files.path(key)) as file:
                rows: int = pq.read_metadata(file).num_rows
                return rows
        except FileNotFoundError:
            return 0  # a compaction has taken its rows
        except (pa.ArrowException, OSError) as error:
            raise SinkUnavailable(f"{key} cannot be read: {error}.") from error


def _newest_us(path: Path) -> int:
    """Return the time of the newest row of a segment, or 0."""
    newest_us = 0
    for piece in read_pieces(path):
        times_us = [each.event_us for each in piece.records] + [each.arrived_us for each in piece.rewards]
        times_us += [each.at_us for each in piece.audits] + [each.at_us for each in piece.learned]
        newest_us = max([newest_us, *times_us])
    return newest_us
