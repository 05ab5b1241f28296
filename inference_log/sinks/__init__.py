"""One file per sink, behind one Protocol."""

from typing import Protocol


class Sink(Protocol):
    """Takes Parquet files, each once."""

    def put(self, key: str, content: bytes, segment_sha256: str) -> bool:
        """Stores `content` under `key` (relative, slashes); False if the same segment's rows are there already.

        Raises:
            SinkConflict: the key holds something else.
            SinkUnavailable: try again later.
        """
