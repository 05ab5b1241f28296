"""The versions that once blocked the event loop of a replica of this home. They run in threads from then on.

A model in C that hangs on the loop ends its replica. Without a memory the next replica would hang in the same way. A
version is known by the digest of its file, which names a file in a folder. To forget a version, delete the file.
"""

import contextlib
from pathlib import Path

from registry_sync.version import VersionKey

FOLDER = "wedged"
"""The name of the folder in a home."""


class WedgedVersions:
    """Keeps them in a folder, which the replicas of a home share. Any thread may use it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, key: VersionKey) -> None:
        """Remember a version. If the disk does not take it, it is not remembered."""
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / key.digest).write_text(f"{key}\n")

    def holds(self, key: VersionKey) -> bool:
        """Return True if the version is remembered."""
        return (self._folder / key.digest).exists()
