"""One run over the day of a route. `inference_log.compaction` says by which rules it is safe."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa

from inference_log.bounded import bounded_connection
from inference_log.compaction.names import identity_of
from inference_log.compaction.records import Record, read_records, replaced, write_record
from inference_log.compaction.rows import Checksum, checksum, columns_of, quoted, show_rows, stored
from inference_log.compaction.scratch import Scratch
from inference_log.compaction.shapes import Shape
from inference_log.compaction.sweep import sweep
from inference_log.compaction.wide import MAPS, WIDE, find_features, wide_columns
from inference_log.compaction.write import OutputFiles, row_groups
from inference_log.day_files import files_of, partition_folder
from inference_log.errors import LogError, LogUnavailable
from inference_log.files import LogFiles, StoredFile
from inference_log.schema import INFERENCES
from inference_log.sinks import Sink

_BATCH_ROWS = 10_000


class NotTheSame(LogError):
    """What was written is not what was read. Nothing was removed."""


class Compacted(NamedTuple):
    """What a run did. `rows` and `outputs` are 0 if there was nothing to do; `removed` files were replaced earlier."""

    route: str
    table: str
    rows: int
    duplicates: int
    inputs: int
    input_bytes: int
    outputs: int
    output_bytes: int
    wide_columns: int
    removed: int


class Run:
    """Compacts the days of routes of one log. `now` returns microseconds since the epoch.

    What was replaced `keep_us` ago is removed.
    """

    def __init__(
        self,
        files: LogFiles,
        sink: Sink,
        scratch: Path,
        now: Callable[[], int],
        *,
        target_bytes: int,
        keep_us: int,
    ) -> None:
        self._files, self._sink = files, sink
        self._scratch = Scratch(files, scratch)
        self._now = now
        self._target_bytes, self._keep_us = target_bytes, keep_us

    def compact(self, shape: Shape, route: str, day: str) -> Compacted:
        """Compact the day of a route.

        Raises:
            NotTheSame: what was written is not what was read.
            LogUnavailable: the log cannot be read or written now, or another run removed files that this one reads.
            SinkConflict, SinkRefused, SinkUnavailable: see `Sink`.
        """
        table = shape.table.name
        removed = sweep(self._files, day, table, route, self._now(), self._keep_us)
        for each in (table, WIDE):
            self._scratch.remove_leftovers(partition_folder(each, route, day), self._now() / 1e6)
        # Wide files are listed first: then the rows of each of them are among the inputs.
        wide = files_of(self._files, WIDE, route, day) if shape.has_wide else []
        listed = files_of(self._files, table, route, day)
        records = read_records(self._files, day, table, route)
        gone = replaced(records)
        inputs = [each for each in listed if each.key not in gone]
        there = {each.key for each in (*inputs, *wide)} - gone
        if not inputs or any(there == set(each.outputs) for each in records):
            return Compacted(route, table, 0, 0, 0, 0, 0, 0, 0, removed)
        old_wide = [each.key for each in wide if each.key not in gone]
        try:
            made = self._write(shape, route, day, inputs, old_wide)
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise LogUnavailable(f"{route}, {day} cannot be compacted now: {error}. Run it again.") from error
        finally:
            self._scratch.discard()
        removed += sweep(self._files, day, table, route, self._now(), self._keep_us)
        return made._replace(removed=removed)

    def _write(
        self, shape: Shape, route: str, day: str, inputs: Sequence[StoredFile], old_wide: Sequence[str]
    ) -> Compacted:
        table, keys = shape.table.name, [each.key for each in inputs]
        identity = identity_of(inputs, self._target_bytes)
        with bounded_connection() as connection:
            duplicates = show_rows(connection, self._scratch.fetch(keys), shape)
            columns = columns_of(connection, "rows")
            of_rows = checksum(connection, "rows", columns)
            query = f"FROM rows ORDER BY {shape.sort}"
            outputs = self._store(connection, query, partition_folder(table, route, day), identity, shape.table.columns)
            paths = self._scratch.fetch(outputs)
            _require(of_rows, checksum(connection, stored(paths), columns), route, day)
            wide, number = list[str](), 0
            if shape.has_wide:
                wide, number = self._store_wide(connection, paths, columns, route, day, identity)
        record = Record(
            identity, table, route, day, self._now(), of_rows.rows, of_rows.text, (*keys, *old_wide), (*outputs, *wide)
        )
        write_record(self._files, record)
        made = {each.key: each.size for each in files_of(self._files, table, route, day)}
        size = sum(made.get(key, 0) for key in outputs)
        return Compacted(
            route, table, of_rows.rows, duplicates, len(inputs), sum(each.size for each in inputs), len(outputs), size,
            number, 0,
        )  # fmt: skip

    def _store_wide(
        self,
        connection: duckdb.DuckDBPyConnection,
        paths: Sequence[Path],
        columns: Sequence[str],
        route: str,
        day: str,
        identity: str,
    ) -> tuple[list[str], int]:
        """Store the wide files of rows that are sorted already. Return their keys and the number of features."""
        features = find_features(connection, stored(paths), columns)
        expressions = wide_columns(columns, features)
        selected = ", ".join(f"{expression} AS {quoted(name)}" for name, expression in expressions.items())
        relation = f"(SELECT {selected} FROM {stored(paths)})"  # noqa: S608  # names are quoted
        expected = checksum(connection, relation, list(expressions))
        folder = partition_folder(WIDE, route, day)
        declared = pa.schema([each for each in INFERENCES.columns if each.name not in MAPS or each.name in expressions])
        keys = self._store(connection, f"FROM {relation}", folder, identity, declared)
        written = checksum(connection, stored(self._scratch.fetch(keys)), list(expressions))
        _require(expected, written, route, day)
        return keys, len(features)

    def _store(
        self,
        connection: duckdb.DuckDBPyConnection,
        query: str,
        folder: str,
        identity: str,
        declared: pa.Schema,
    ) -> list[str]:
        """Store the rows of a query as files of a folder, and return their keys. `declared` columns come first."""
        reader = connection.sql(query).to_arrow_reader(_BATCH_ROWS)
        more = [field for field in reader.schema if field.name not in declared.names]
        schema = pa.schema([*declared, *more])
        outputs = OutputFiles(self._sink, folder, identity, schema, self._target_bytes)
        try:
            for group in row_groups(reader, schema):
                outputs.write(group)
            outputs.end()
        finally:
            outputs.discard()
            reader.close()
            pa.default_memory_pool().release_unused()
        return outputs.keys


def _require(expected: Checksum, found: Checksum, route: str, day: str) -> None:
    """Raise unless two checksums are equal.

    Raises:
        NotTheSame: they are not.
    """
    if expected == found:
        return
    odd = [name for name, value in expected.sums.items() if found.sums.get(name) != value]
    raise NotTheSame(
        f"What was written of {route}, {day} is not what was read: {found.rows} rows instead of {expected.rows}, "
        f"other values in {', '.join(odd) or 'no column'}. Nothing was removed. Run it again; if it stays, report it."
    )
