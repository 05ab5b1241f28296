"""A place of a log, a directory or a bucket of a real S3 server: its sink, and a look past it."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
from botocore.config import Config

from inference_log.files import LogFiles
from inference_log.parquet import open_writer
from inference_log.s3 import client as client_module
from inference_log.s3.client import Connection, connect
from inference_log.sinks import Sink
from tests.support.s3_server import S3Server

KEY_OF_FILE = f"inferences/route={'r' * 128}/dt=2026-01-01/w-0.parquet"
SHA, OTHER_SHA = "0123456789abcdef", "f" * 16


@dataclass(frozen=True)
class LogPlace:
    """A place of a log. `files` looks at it directly, whatever lies between the sink and S3."""

    sink: Sink
    files: LogFiles

    def put(self, rows: int = 3, segment_sha256: str = SHA, key: str = KEY_OF_FILE) -> bool:
        """Put a file with this many rows. Nothing stays where it was written."""
        staged = self.sink.staging_path(key, segment_sha256)
        write_rows(staged, rows, segment_sha256)
        try:
            return self.sink.put(key, staged, segment_sha256)
        finally:
            assert not staged.exists()

    def rows(self, key: str = KEY_OF_FILE) -> int:
        """Return the number of rows that are stored under a key."""
        with self.files.filesystem.open_input_file(self.files.path(key)) as file:
            rows: int = pq.read_metadata(file).num_rows
            return rows


def write_rows(path: Path, rows: int, segment_sha256: str = SHA) -> None:
    """Write a file of the log with this many rows."""
    table = pa.table({"n": pa.array(range(rows))})
    with closing(open_writer(path, table.schema, segment_sha256)) as writer:
        writer.write_table(table)


@contextmanager
def variables(server: S3Server, **more: str) -> Iterator[None]:
    """Let boto3 find a server during the block, with some variables changed."""
    with patch.dict(os.environ, {**server.environment, **more}):
        yield


def hasty_connection(server: S3Server, **more: str) -> Connection:
    """Return a connection that waits for a second, where the product's waits for twenty."""
    short = client_module._CONFIG.merge(Config(connect_timeout=1.0, read_timeout=1.0))
    with variables(server, **more), patch.object(client_module, "_CONFIG", short):
        return connect()
