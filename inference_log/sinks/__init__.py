"""The sinks of Parquet files, one file each, and the Protocol that they share."""

from typing import Protocol


class Sink(Protocol):
    """A place for Parquet files. It stores each of them once."""

    def put(self, key: str, content: bytes, segment_sha256: str) -> bool:
        """Store `content` under `key` (relative, slashes). Return False if the same segment's rows are there already.

        Raises:
            SinkConflict: the key holds other rows.
            SinkUnavailable: try again later.
        """
