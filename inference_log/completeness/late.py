"""A sink that notes which files come after their day was closed.

The process that stores a file leaves the note, after the file. If it dies in between, it stores the file again, which
changes nothing, and leaves the note then.
"""

import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from inference_log.completeness.days import day_of
from inference_log.completeness.marker import read_marker
from inference_log.completeness.notes import LateNote, write_note
from inference_log.errors import LogUnavailable, SinkUnavailable
from inference_log.files import LogFiles
from inference_log.parquet import rows_of
from inference_log.sinks import Sink

_DAY = "dt="


class NotingSink:
    """A sink that leaves a note of each file of a day that was closed before. See `Sink`.

    The files of the log are opened when the first file of an earlier day comes: in S3 that takes a while.
    """

    def __init__(self, sink: Sink, open_log: Callable[[], LogFiles], now: Callable[[], float] = time.time) -> None:
        self.puts_at_once = sink.puts_at_once
        self._sink = sink
        self._open_log = cache(open_log)
        self._opening = threading.Lock()
        self._now = now

    def staging_path(self, key: str, segment_sha256: str) -> Path:
        """See `Sink.staging_path`."""
        return self._sink.staging_path(key, segment_sha256)

    def put(self, key: str, staged: Path, segment_sha256: str) -> bool:
        """See `Sink.put`."""
        day = next((part.removeprefix(_DAY) for part in key.split("/") if part.startswith(_DAY)), "")
        is_over = day < day_of(int(self._now() * 1e6))
        rows = rows_of(staged) if is_over else 0
        is_new = self._sink.put(key, staged, segment_sha256)
        try:
            if is_over and read_marker(self._files(), day) is not None:
                write_note(self._files(), day, LateNote(key, rows))
                _tell(key, rows)
        except LogUnavailable as error:
            raise SinkUnavailable(str(error)) from error
        return is_new

    def _files(self) -> LogFiles:
        """Return the files of the log, opened once: a client of S3 takes 20 MB, and several threads put files."""
        with self._opening:
            return self._open_log()


def _tell(key: str, rows: int) -> None:
    import structlog  # it takes as long to import as all else in the process that converts segments

    structlog.get_logger().warning("inference_log.file.late", key=key, rows=rows)
