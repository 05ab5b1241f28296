"""The files of a log that is in a directory or in S3: listed, read, and for maintenance written and removed.

Keys are relative to the log, with slashes. Names that begin with a dot or an underscore are not part of a table.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import pyarrow.fs as pafs


class StoredFile(NamedTuple):
    """A file of the log. `size` is in bytes."""

    key: str
    size: int


class LogFiles(Protocol):
    """The files of one log. `filesystem` with `path(key)` is what PyArrow reads them by."""

    filesystem: pafs.FileSystem

    def path(self, key: str) -> str:
        """Return the path of a key on `filesystem`."""

    def list(self, below: str) -> Sequence[StoredFile]:
        """Return all files whose key begins with the folder `below`, which ends with a slash, in order of keys.

        Hidden ones are left out, and so is a folder that does not exist.

        Raises:
            LogUnavailable: the log cannot be read now.
        """

    def read(self, key: str) -> bytes | None:
        """Return the content of a small file, or None if there is none. Raises like `list`."""

    def write(self, key: str, content: bytes) -> None:
        """Store a small file, whole or not at all. One that exists is replaced. Raises like `list`."""

    def remove(self, key: str) -> None:
        """Remove a file. One that does not exist is no error. Raises like `list`."""


def is_hidden(key: str) -> bool:
    """Return True if a part of the key begins with a dot or an underscore."""
    return any(part[:1] in (".", "_") for part in key.split("/"))
