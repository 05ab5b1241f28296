"""A sink in a local directory. Each file is written completely or not at all."""

import os
from pathlib import Path

from inference_log.errors import SinkUnavailable
from inference_log.parquet import require_same


class DirectorySink:
    """See `inference_log.sinks.Sink`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, key: str, content: bytes, segment_sha256: str) -> bool:
        """See `Sink.put`."""
        path = self._root / key
        partial = path.with_name(f".{path.name}.{segment_sha256[:8]}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with partial.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                os.link(partial, path)  # unlike a rename, a link never replaces a file
            except FileExistsError:
                require_same(path.read_bytes(), content, key)
                return False
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:
            raise SinkUnavailable(f"{path} cannot be written: {error}.") from error
        return True
