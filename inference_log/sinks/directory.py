"""A sink in a local directory. Each file is written completely or not at all."""

import os
from pathlib import Path

from inference_log.errors import SinkUnavailable
from inference_log.parquet import require_same


class DirectorySink:
    """See `inference_log.sinks.Sink`."""

    puts_at_once = 1

    def __init__(self, root: Path) -> None:
        self._root = root

    def staging_path(self, key: str, segment_sha256: str) -> Path:
        """See `Sink.staging_path`. It lies beside the file, so on the same disk."""
        path = self._root / key
        staged = path.with_name(f".{path.name}.{segment_sha256[:8]}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # What a killed process left may be a second name of the stored file, which must not be written again.
            staged.unlink(missing_ok=True)
        except OSError as error:
            raise SinkUnavailable(f"{path} cannot be written: {error}.") from error
        return staged

    def put(self, key: str, staged: Path, segment_sha256: str) -> bool:  # noqa: ARG002  # of the Protocol
        """See `Sink.put`."""
        path = self._root / key
        try:
            try:
                with staged.open("rb") as file:
                    os.fsync(file.fileno())
                os.link(staged, path)  # unlike a rename, a link never replaces a file
                _sync_folder(path.parent)  # before the segment is deleted, which may be on another disk
            except FileExistsError:
                require_same(path, staged, key)
                return False
            finally:
                staged.unlink(missing_ok=True)
        except OSError as error:
            raise SinkUnavailable(f"{path} cannot be written: {error}.") from error
        return True


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
