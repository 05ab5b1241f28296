"""Unix sockets, however long the path of their folder is."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def short_name(path: Path) -> Iterator[str]:
    """Yield a name for a socket's path. A path of more than 107 bytes cannot be bound."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


@contextmanager
def listening(path: Path, backlog: int) -> Iterator[socket.socket]:
    """Yield a socket that listens at a path. The path is there only as long as connections are taken.

    Raises:
        OSError: the folder cannot be written.
    """
    partial = path.with_name(f".{path.name}")
    partial.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        with short_name(partial) as name:
            listener.bind(name)
        listener.listen(backlog)
        partial.replace(path)
        try:
            yield listener
        finally:
            path.unlink(missing_ok=True)
