"""Notes which files of a version are here while the others are fetched, so that few are fetched again after an end.

A note holds all files so far. Written after each file, the notes of 10,000 files would take as long as 50 million. So a
note waits until the files are a sixteenth more than in the one before, or until 64 MiB came. An error loses nothing.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType

_PART = 16
_BYTES = 64 * 1024**2


class Notes:
    """Use it as a context: what is not noted yet at its end is noted then. `write` writes a note."""

    def __init__(self, files: Mapping[str, str], write: Callable[[dict[str, str]], None]) -> None:
        self.files = dict(files)
        self._write = write
        self._noted = len(self.files)
        self._bytes = 0

    def take(self, file: str, sha256: str, size: int) -> bool:
        """Take a file that is here now. Return True if a note was written.

        Raises:
            OSError: the disk does not allow it.
        """
        self.files[file] = sha256
        self._bytes += size
        is_due = (len(self.files) - self._noted) * _PART > self._noted or self._bytes >= _BYTES
        if is_due:
            self._note()
        return is_due

    def __enter__(self) -> "Notes":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if len(self.files) > self._noted:
            with suppress(*[OSError] * (error is not None)):  # the first error says more
                self._note()

    def _note(self) -> None:
        self._write(self.files.copy())
        self._noted, self._bytes = len(self.files), 0
