"""A closed segment, read piece by piece, so that it takes little memory whatever its size.

A piece ends with the record that reaches one of its limits. Values count, not only bytes: in Parquet each value is a
float64 beside its name, so a byte of input may take a hundred times its size until it is written.
"""

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from inference_log.payload import Payload
from inference_log.record import Audit, Context, Learned, Record, Reward, RewardContext, SegmentEntry, SegmentHeader
from inference_log.segment import FRAME, Segment, decode_entry

_BUFFER_BYTES = 1024 * 1024


class PieceLimits(NamedTuple):
    """The sizes at which a piece ends. `values` are features, predictions and weights of all rows."""

    rows: int = 50_000
    stored_bytes: int = 32 * 1024 * 1024
    values: int = 1_000_000


DEFAULT_LIMITS = PieceLimits()


def read_pieces(path: Path, limits: PieceLimits = DEFAULT_LIMITS) -> Iterator[Segment]:
    """Yield the segment's entries in order, up to the first torn frame; nothing if not even the header is whole.

    Each piece has the contexts of all pieces so far. The last piece has the number of torn bytes, and may be empty.

    Raises:
        OSError: the file cannot be read.
        msgspec.MsgspecError: a whole frame is not an entry.
        KeyError: a record refers to a context that is not there.
    """
    with path.open("rb", buffering=_BUFFER_BYTES) as file:
        entries = _entries(file)
        header, _ = next(entries, (None, 0))
        if not isinstance(header, SegmentHeader):
            return
        piece, filled = Segment.empty(header), _Filled(limits)
        contexts, reward_contexts = dict[int, Context](), dict[int, RewardContext]()
        end = file.tell()
        for entry, end in entries:
            if isinstance(entry, Context):
                contexts[entry.number] = entry
            elif isinstance(entry, RewardContext):
                reward_contexts[entry.number] = entry
            else:
                _add(piece, entry)
            if filled.add(contexts, entry, end):
                yield piece._replace(contexts=contexts, reward_contexts=reward_contexts)
                piece, filled = Segment.empty(header), _Filled(limits, end)
        torn_bytes = written_end(path, end) - end
        yield piece._replace(contexts=contexts, reward_contexts=reward_contexts, torn_bytes=torn_bytes)


def _add(piece: Segment, entry: SegmentEntry) -> None:
    """Add an entry that becomes rows to the others of its kind."""
    if isinstance(entry, Record):
        piece.records.append(entry)
    elif isinstance(entry, Reward):
        piece.rewards.append(entry)
    elif isinstance(entry, Audit):
        piece.audits.append(entry)
    elif isinstance(entry, Learned):
        piece.learned.append(entry)
    elif isinstance(entry, Payload):
        piece.payloads.append(entry)


def first_time_us(path: Path) -> int | None:
    """Return the time of the segment's first entry that has one; None if it has none yet.

    Raises:
        OSError: the file cannot be read.
        msgspec.MsgspecError: a whole frame is not an entry.
    """
    with path.open("rb", buffering=_BUFFER_BYTES) as file:
        for entry, _ in _entries(file):
            if isinstance(entry, Record):
                return entry.event_us
            if isinstance(entry, Reward):
                return entry.arrived_us
            if isinstance(entry, Audit | Learned | Payload):
                return entry.at_us
    return None


def written_end(path: Path, offset: int = 0) -> int:
    """Return the end of what was written after `offset`: zeros at the end of a file are space that was not used."""
    end = offset
    with path.open("rb") as file:
        file.seek(offset)
        while content := file.read(_BUFFER_BYTES):
            used = len(content.rstrip(b"\0"))
            if used:
                end = file.tell() - len(content) + used
    return end


class _Filled:
    """How full a piece is that begins at an offset."""

    def __init__(self, limits: PieceLimits, begin: int = 0) -> None:
        self._limits, self._begin = limits, begin
        self._rows = self._values = 0

    def add(self, contexts: dict[int, Context], entry: SegmentEntry, end: int) -> bool:
        """Add an entry. Return True if the piece is full."""
        if isinstance(entry, Record):
            rows = entry.batch_size if entry.kept is None else entry.kept.instances
            self._rows += max(rows, 1)
            self._values += _values(contexts[entry.context], entry, rows)
        elif isinstance(entry, Reward | Payload):
            self._rows += 1
        limits = self._limits
        return (
            self._rows >= limits.rows
            or self._values >= limits.values
            or end - self._begin >= limits.stored_bytes  # only audits come without rows
        )


def _values(context: Context, record: Record, rows: int) -> int:
    """Return how many numbers and texts the rows of a record will hold."""
    numbers = rows * (len(context.features) + len(context.categories)) if record.inputs else 0
    if context.prediction is not None and context.prediction[0] < len(record.outputs):
        index, kind = context.prediction
        numbers += len(record.outputs[index]) // np.dtype(kind).itemsize
    return numbers + rows * len(context.weights)


def _entries(file: BinaryIO) -> Iterator[tuple[SegmentEntry, int]]:
    """Yield each whole entry and the offset after it. See `inference_log.segment`."""
    size, end = os.fstat(file.fileno()).st_size, 0
    while end + FRAME.size <= size:
        length, crc = FRAME.unpack(file.read(FRAME.size))
        end += FRAME.size + length
        if length == 0 or end > size:
            return
        content = file.read(length)
        if zlib.crc32(content) != crc:
            return
        yield decode_entry(content), end
