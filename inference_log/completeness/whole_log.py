"""What the whole log of a machine lacks, by writer and route, from the log alone."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import duckdb
import pyarrow as pa

from inference_log.bounded import bounded_connection
from inference_log.completeness.loss import Gap, create_rows, find_gaps
from inference_log.file_names import number_of, segment_of
from inference_log.frozen_log import FrozenLog, Piece
from inference_log.schema import INFERENCES, REWARDS

_STORED = "INSERT INTO rows SELECT ?, ?, writer_id, writer_seq, ? FROM stored"
_WAITING = "INSERT INTO rows SELECT '', route, ?, writer_seq, ? FROM waiting"


class Lost(NamedTuple):
    """How many rows of a route a writer lost, by where: the segment that they should be in tells what happened.

    `dropped` were not written: the segment before and after the loss is the same one, which the disk did not let grow.
    `torn` were at the end of a segment that is damaged, or were not written there. Of `segments`, a whole segment is
    missing, which may have been set aside. `unknown` are among compacted rows.
    """

    writer_id: str
    route: str
    dropped: int
    torn: int
    segments: int
    unknown: int

    @property
    def rows(self) -> int:
        """How many rows are lost in all."""
        return self.dropped + self.torn + self.segments + self.unknown


def find_lost(frozen: FrozenLog, progress: Callable[[str], None]) -> list[Lost]:
    """Return what every writer lost, by route.

    Raises:
        OSError, pa.ArrowException: a file cannot be read.
    """
    with bounded_connection() as connection:
        create_rows(connection, "rows")
        for piece in frozen.pieces(to_end=True):
            _insert(connection, piece)
        for table in (INFERENCES, REWARDS):
            for (route, day), files in frozen.files_of(table).items():
                progress(f"looking for losses of {route}, {day}")
                for file in files:
                    connection.register("stored", frozen.read(file, ("writer_id", "writer_seq")))
                    connection.execute(_STORED, [table.name, route, number_of(segment_of(file.key))])
        progress("comparing the numbers of all rows")
        return _by_route(find_gaps(connection, "rows"))


def _insert(connection: duckdb.DuckDBPyConnection, piece: Piece) -> None:
    """Add the rows of a segment that is not Parquet yet."""
    numbers = [(piece.contexts[each.context].route, each.writer_seq) for each in piece.read.records]
    numbers += [(piece.reward_contexts[each.context].route, each.writer_seq) for each in piece.read.rewards]
    if not numbers:
        return
    routes, sequences = zip(*numbers, strict=True)
    waiting = pa.table({"route": pa.array(routes, pa.string()), "writer_seq": pa.array(sequences, pa.int64())})
    connection.register("waiting", waiting)
    connection.execute(_WAITING, [piece.writer_id, piece.sequence])


def _by_route(gaps: Iterable[Gap]) -> list[Lost]:
    found: dict[tuple[str, str], Lost] = {}
    for gap in gaps:
        key = gap.writer_id, gap.route
        lost = found.get(key, Lost(*key, 0, 0, 0, 0))
        kind = _kind(gap.segments)
        found[key] = lost._replace(**{kind: getattr(lost, kind) + gap.missing})
    return [found[key] for key in sorted(found)]


def _kind(segments: int | None) -> str:
    match segments:
        case None:
            return "unknown"
        case 0:
            return "dropped"
        case 1:
            return "torn"
        case _:
            return "segments"
