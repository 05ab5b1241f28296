"""Writes rows into files of about a size, through a sink, each as soon as it is full."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from inference_log.compaction.names import output_name
from inference_log.parquet import open_writer
from inference_log.sinks import Sink

GROUP_ROWS = 50_000
_GROUP_BYTES = 64 * 1024 * 1024


def row_groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield tables of this schema, each as large as a row group. A column that the batches lack has no values."""
    waiting: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        waiting.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= GROUP_ROWS or size >= _GROUP_BYTES:
            yield _shaped(pa.Table.from_batches(waiting), schema)
            waiting, rows, size = [], 0, 0
    if rows:
        yield _shaped(pa.Table.from_batches(waiting), schema)


def _shaped(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


class OutputFiles:
    """The files that one run writes into a folder of the log. `keys` are those that are stored."""

    def __init__(self, sink: Sink, folder: str, identity: str, schema: pa.Schema, target_bytes: int) -> None:
        self.keys: list[str] = []
        self._sink, self._folder, self._identity = sink, folder, identity
        self._schema, self._target_bytes = schema, target_bytes
        self._staged: Path | None = None
        self._writer: Any = None

    def write(self, group: pa.Table) -> None:
        """Append a row group. Raises like `Sink`."""
        if self._staged is None:
            self._staged = self._sink.staging_path(self._key, self._digest)
            self._writer = open_writer(self._staged, self._schema, self._digest)
        self._writer.write_table(group, row_group_size=len(group))
        if self._staged.stat().st_size >= self._target_bytes:
            self.end()

    def end(self) -> None:
        """Store the file that was begun, if there is one. Raises like `Sink`."""
        if self._staged is None:
            return
        self._writer.close()
        self._sink.put(self._key, self._staged, self._digest)
        key, self._staged = self._key, None
        self.keys.append(key)

    def discard(self) -> None:
        """Remove what was not stored."""
        if self._staged is not None:
            self._writer.close()
            self._staged.unlink(missing_ok=True)
            self._staged = None

    @property
    def _key(self) -> str:
        return self._folder + output_name(self._identity, len(self.keys))

    @property
    def _digest(self) -> str:
        return hashlib.sha256(f"{self._identity} {self._key}".encode()).hexdigest()
