"""Reads a file of a registry, which others may have replaced by something that is no file."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""With O_NONBLOCK, opening never waits for another process, as it would for a pipe."""


class NotRegular(OSError):
    """The path names a link, a pipe, a device, a directory or the like, or a file that is too large."""


@contextmanager
def open_regular_file(
    path: Path | str, max_bytes: int, *, follows_link: bool
) -> Iterator[tuple[BinaryIO, os.stat_result]]:
    """Open a file, and give its attributes. This never waits for another process: open(2) of a pipe would.

    Raises:
        NotRegular: see there. The sentence follows the path.
        OSError: the file is not there, or cannot be opened.
    """
    try:
        descriptor = os.open(path, _FLAGS | (0 if follows_link else os.O_NOFOLLOW))
    except OSError as error:
        if error.errno == errno.ELOOP:  # open(2): what O_NOFOLLOW returns for a link
            raise NotRegular("is a link; put the file itself there") from error
        if error.errno == errno.ENXIO:  # a socket
            raise NotRegular("is no regular file") from error
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise NotRegular("is no regular file")
    with os.fdopen(descriptor, "rb") as stream:
        if status.st_size > max_bytes:
            raise NotRegular(f"is larger than {max_bytes} bytes")
        yield stream, status


def opened_stat(path: str) -> os.stat_result:
    """Return the attributes of a file, of whatever type. A network file system fetches them anew when it is opened.

    Raises:
        OSError: the file is not there, or cannot be opened.
    """
    descriptor = os.open(path, _FLAGS)
    try:
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def read_regular_file(path: Path | str, max_bytes: int, *, follows_link: bool) -> bytes:
    """Return the content of a file; what is appended meanwhile is not read. Raises like `open_regular_file`."""
    with open_regular_file(path, max_bytes, follows_link=follows_link) as (stream, status):
        return stream.read(status.st_size)
