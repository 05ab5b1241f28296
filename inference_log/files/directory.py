"""The files of a log in a directory."""

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from inference_log.errors import LogUnavailable
from inference_log.files import StoredFile, is_hidden

if TYPE_CHECKING:
    import pyarrow.fs as pafs


class DirectoryFiles:
    """See `inference_log.files.LogFiles`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @cached_property
    def filesystem(self) -> "pafs.FileSystem":
        """See `LogFiles.filesystem`."""
        import pyarrow.fs as pafs

        return pafs.LocalFileSystem()

    def path(self, key: str) -> str:
        """See `LogFiles.path`."""
        return str(self._root / key)

    def list(self, below: str) -> Sequence[StoredFile]:
        """See `LogFiles.list`."""
        found = []
        try:
            for path in (self._root / below).rglob("*"):
                key = path.relative_to(self._root).as_posix()
                if not is_hidden(key, below) and path.is_file():
                    found.append(StoredFile(key, path.stat().st_size))
        except OSError as error:
            raise LogUnavailable(f"{self._root / below} cannot be read: {error}.") from error
        return sorted(found)

    def folders(self, below: str) -> Sequence[str]:
        """See `LogFiles.folders`."""
        try:
            return sorted(path.name for path in (self._root / below).glob("*/") if not is_hidden(path.name))
        except OSError as error:
            raise LogUnavailable(f"{self._root / below} cannot be read: {error}.") from error

    def read(self, key: str) -> bytes | None:
        """See `LogFiles.read`."""
        try:
            return (self._root / key).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LogUnavailable(f"{self._root / key} cannot be read: {error}.") from error

    def write(self, key: str, content: bytes) -> None:
        """See `LogFiles.write`."""
        path = self._root / key
        staged = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            staged.write_bytes(content)
            staged.rename(path)
        except OSError as error:
            raise LogUnavailable(f"{path} cannot be written: {error}.") from error

    def remove(self, key: str) -> None:
        """See `LogFiles.remove`."""
        try:
            (self._root / key).unlink(missing_ok=True)
        except OSError as error:
            raise LogUnavailable(f"{self._root / key} cannot be removed: {error}.") from error
