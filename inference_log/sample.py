"""A sample of a route's requests that were answered, read from the Parquet files of the log within bounds.

Each request that is read gets a random number, and those with the lowest are kept. So the sample is even over all that
was read, whatever the sizes of the files, and no more than the sample and one row group is in memory. Row groups are
read in random order until a bound is reached. So of a log of millions of rows, some are read. A row group holds all
rows of its requests (`inference_log.pieces`). Rows that are not Parquet yet are not read.
"""

import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from inference_log.files import LogFiles, StoredFile
from inference_log.schema import INFERENCES
from inference_log.stored import stored_by_keys

_COLUMNS = (
    "decision_id", "event_ts_us", "role", "outcome", "model_digest", "instance_index", "batch_size", "sampling_rate",
    "values_omitted", "features_num", "features_cat", "prediction", "predicted_label",
)  # fmt: skip
_SEED = 7


class SampleLimits(NamedTuple):
    """The bounds of reading. `values` are numbers and texts of the requests that are kept."""

    files: int = 5_000
    rows: int = 1_000_000
    group_bytes: int = 256 * 1024 * 1024
    values: int = 8_000_000
    within_s: float = 20.0


DEFAULT_LIMITS = SampleLimits()


class Asked(NamedTuple):
    """Which requests are meant: of a route, between two times, in seconds since the epoch.

    Those that were answered by the version with the digest `without_digest` are not.
    """

    route: str
    since_s: float
    until_s: float
    without_digest: str = ""


class Sample(NamedTuple):
    """The rows of each request, in the order of its instances, in random order of the requests.

    `found` requests were read, and `unread` files could not be. With `is_partial`, a bound was reached before all were
    read.
    """

    requests: tuple[pa.Table, ...]
    found: int
    unread: int
    is_partial: bool


class _Kept(NamedTuple):
    number: float
    rows: pa.Table
    values: int


def sample_requests(files: LogFiles, asked: Asked, most: int, limits: SampleLimits = DEFAULT_LIMITS) -> Sample:
    """Return at most `most` requests that arms of the route answered. Without a log, the sample is empty.

    Raises:
        LogUnavailable: the log cannot be read now.
    """
    reading = _Reading(limits, asked, files)
    numbers = np.random.default_rng(_SEED)
    kept: list[_Kept] = []
    found = 0
    for table in reading.groups():
        ids = table.column("decision_id").combine_chunks().dictionary_encode()
        drawn = numbers.random(len(ids.dictionary))
        found += len(drawn)
        kept = _lowest([*kept, *_requests(table, ids.indices.to_numpy(), drawn, kept, most)], most, limits.values)
    return Sample(tuple(each.rows for each in kept), found, reading.unread, reading.is_partial)


def asked_files(files: LogFiles, asked: Asked) -> list[StoredFile]:
    """Return the Parquet files of the route's days, in order.

    Raises:
        LogUnavailable: the log cannot be read now.
    """
    first, last = (_day(each) for each in (asked.since_s, asked.until_s))
    stored = stored_by_keys(files, INFERENCES, asked.route)
    return [each for (_, day), of_day in stored.items() if first <= day <= last for each in of_day]


def _requests(
    table: pa.Table, codes: np.ndarray[tuple[int], np.dtype[np.int32]], drawn: np.ndarray, kept: list[_Kept], most: int
) -> Iterator[_Kept]:
    """Yield the requests of a row group that may belong to the sample."""
    lowest = np.argsort(drawn)[:most]
    if len(kept) == most:
        lowest = lowest[drawn[lowest] < kept[-1].number]
    order = np.lexsort((table.column("instance_index").to_numpy(), codes))
    begins = np.searchsorted(codes[order], lowest)
    ends = np.searchsorted(codes[order], lowest, side="right")
    for code, begin, end in zip(lowest.tolist(), begins.tolist(), ends.tolist(), strict=True):
        rows = table.take(pa.array(order[begin:end]))
        values = len(rows.column("prediction").combine_chunks().flatten())
        values += sum(len(rows.column(name).combine_chunks().items) for name in ("features_num", "features_cat"))
        yield _Kept(float(drawn[code]), rows, values)


def _lowest(requests: list[_Kept], most: int, values: int) -> list[_Kept]:
    """Return the requests with the lowest numbers, as many as the bounds allow."""
    kept, total = [], 0
    for each in sorted(requests, key=lambda each: each.number)[:most]:
        if total + each.values <= values:
            kept.append(each)
            total += each.values
    return kept


class _Reading:
    """Reads row groups, and notes what it did not read."""

    def __init__(self, limits: SampleLimits, asked: Asked, files: LogFiles) -> None:
        self.unread = 0
        self.is_partial = False
        self._limits = limits
        self._files = files
        self._asked = asked
        self._since_us, self._until_us = round(asked.since_s * 1e6), round(asked.until_s * 1e6)
        self._without = asked.without_digest

    def groups(self) -> Iterator[pa.Table]:
        """Yield the rows of each row group that are answers of arms within the time."""
        began_s, rows = time.monotonic(), 0
        shuffle = random.Random(_SEED).shuffle  # noqa: S311  # a sample, no secret
        keys = [file.key for file in asked_files(self._files, self._asked)]
        shuffle(keys)
        self.is_partial = len(keys) > self._limits.files
        groups = []
        for key in keys[: self._limits.files]:
            if time.monotonic() - began_s > self._limits.within_s / 2:
                self.is_partial = True
                break
            groups += [(key, group) for group in self._in_time(key)]
        shuffle(groups)
        for key, group in groups:
            if rows >= self._limits.rows or time.monotonic() - began_s > self._limits.within_s:
                self.is_partial = True
                return
            table = self._read(key, group)
            if table is not None:
                rows += len(table)
                answered = self._answered(table)
                if len(answered):
                    yield answered

    def _in_time(self, key: str) -> list[int]:
        """Return the row groups of a file that have rows within the time, as its footer says."""
        try:
            footer = pq.read_metadata(self._files.path(key), filesystem=self._files.filesystem)
            column = footer.schema.names.index("event_ts_us")
            groups = [footer.row_group(group) for group in range(footer.num_row_groups)]
        except (pa.ArrowException, OSError, ValueError):
            self.unread += 1
            return []
        found = []
        for number, group in enumerate(groups):
            times = group.column(column).statistics
            if times is None or (times.min <= self._until_us and times.max >= self._since_us):
                found.append(number)
        return found

    def _read(self, key: str, group: int) -> pa.Table | None:
        try:
            with pq.ParquetFile(self._files.path(key), filesystem=self._files.filesystem) as file:
                if file.metadata.row_group(group).total_byte_size > self._limits.group_bytes:
                    self.is_partial = True
                    return None
                return _with_all(file.read_row_group(group, columns=list(_COLUMNS), use_threads=False))
        except (pa.ArrowException, OSError, ValueError):
            self.unread += 1
            return None

    def _answered(self, table: pa.Table) -> pa.Table:
        is_answer = pc.and_(pc.equal(table["role"], "primary"), pc.equal(table["outcome"], "ok"))
        is_answer = pc.and_(is_answer, pc.not_equal(table["model_digest"], self._without))
        is_answer = pc.and_(is_answer, pc.is_valid(table["sampling_rate"]))  # else it has no values
        times = table["event_ts_us"]
        is_in_time = pc.and_(
            pc.greater_equal(times, pa.scalar(self._since_us)), pc.less_equal(times, pa.scalar(self._until_us))
        )
        return table.filter(pc.and_(is_answer, is_in_time))


def _day(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d")


def _with_all(table: pa.Table) -> pa.Table:
    """Return the columns of a sample. Those that an older release did not write have no values."""
    for name in _COLUMNS:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(len(table), INFERENCES.columns.field(name).type))
    return table
