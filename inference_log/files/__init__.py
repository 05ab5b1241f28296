"""The files of a log that is in a directory or in S3: listed, read, and for maintenance written and removed.

Keys are relative to the log, with slashes. Names that begin with a dot or an underscore are not part of a table.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:  # 28 MB, and not needed by what reads small files only
    import pyarrow.fs as pafs


class StoredFile(NamedTuple):
    """A file of the log. `size` is in bytes."""

    key: str
    size: int


class LogFiles(Protocol):
    """The files of one log. `filesystem` with `path(key)` is what PyArrow reads them by."""

    @property
    def filesystem(self) -> "pafs.FileSystem":
        """Return PyArrow's view of the place."""

    def path(self, key: str) -> str:
        """Return the path of a key on `filesystem`."""

    def list(self, below: str) -> Sequence[StoredFile]:
        """Return all files whose key begins with the folder `below`, which ends with a slash, in order of keys.

        Those that are hidden in it are left out, and so is a folder that does not exist.

        Raises:
            LogUnavailable: the log cannot be read now.
        """

    def folders(self, below: str) -> Sequence[str]:
        """Return the names of the folders in the folder `below`, as `list` would see them. Raises like `list`."""

    def read(self, key: str) -> bytes | None:
        """Return the content of a small file, or None if there is none. Raises like `list`."""

    def write(self, key: str, content: bytes) -> None:
        """Store a small file, whole or not at all. One that exists is replaced. Raises like `list`."""

    def remove(self, key: str) -> None:
        """Remove a file. One that does not exist is no error. Raises like `list`."""


def is_hidden(key: str, below: str = "") -> bool:
    """Return True if a part of the key after the folder `below` begins with a dot or an underscore."""
    return any(part[:1] in (".", "_") for part in key.removeprefix(below).split("/"))
