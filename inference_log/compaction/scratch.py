"""Local copies of a log's files, for DuckDB. Files of a directory are read where they are."""

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pyarrow.fs as pafs

from inference_log.compaction.names import PREFIX
from inference_log.errors import LogUnavailable
from inference_log.files import LogFiles

_THREADS = 8
_CHUNK_BYTES = 4 * 1024 * 1024
_LEFT_OVER_S = 86_400.0


class Scratch:
    """A folder for copies. The files of S3 that a run reads need room in it."""

    def __init__(self, files: LogFiles, folder: Path) -> None:
        self._files = files
        self._folder = folder
        self._is_local = isinstance(files.filesystem, pafs.LocalFileSystem)

    def fetch(self, keys: Sequence[str]) -> list[Path]:
        """Return local paths of files, in the same order.

        Raises:
            LogUnavailable: a file cannot be read, or was removed meanwhile.
        """
        if self._is_local:
            return [Path(self._files.path(key)) for key in keys]
        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(self._copy, keys))

    def remove_leftovers(self, folder: str, now_s: float) -> None:
        """Remove what runs that were killed have begun to write in a folder of a directory, after a time."""
        if not self._is_local:
            return
        for path in Path(self._files.path(folder)).glob(f".{PREFIX}*"):
            with suppress(FileNotFoundError):
                if now_s - path.stat().st_mtime > _LEFT_OVER_S:
                    path.unlink()

    def discard(self) -> None:
        """Remove all copies."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _copy(self, key: str) -> Path:
        copy = self._folder / key.replace("/", "~")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._files.filesystem.open_input_stream(self._files.path(key)) as content, copy.open("wb") as file:
                shutil.copyfileobj(content, file, _CHUNK_BYTES)
        except OSError as error:
            raise LogUnavailable(f"{self._files.path(key)} cannot be read: {error}. Run it again.") from error
        return copy
