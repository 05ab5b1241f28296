"""The sinks of Parquet files, one file each, and the Protocol that they share."""

from pathlib import Path
from typing import Protocol


class Sink(Protocol):
    """A place for Parquet files. It stores each of them once. Threads may put `puts_at_once` files at a time."""

    puts_at_once: int

    def staging_path(self, key: str, segment_sha256: str) -> Path:
        """Return the local path where the file for `key` is written before it is put. Nothing is there.

        Raises:
            SinkUnavailable: try again later.
        """

    def put(self, key: str, staged: Path, segment_sha256: str) -> bool:
        """Store the file `staged` under `key` (relative, slashes), and remove it from where it was written.

        Return False if the same segment's rows are there already.

        Raises:
            SinkConflict: the key holds other rows.
            SinkRefused: the file will never be taken.
            SinkUnavailable: try again later.
        """
