"""The lock on a segment: its writer holds it from before the file has its name until the file is closed.

The kernel releases it when the writer's process ends, however it ends. So a segment whose lock can be taken gets
nothing more. It may be shipped, by the process that holds the lock then.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def create_locked(path: Path) -> int:
    """Create a segment and return its descriptor, which holds the lock.

    Raises:
        OSError: the file exists, or cannot be created.
    """
    unnamed = path.with_suffix(".new")
    fd = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.link(unnamed, path)  # unlike a rename, a link never replaces a file
    except OSError:
        os.close(fd)
        raise
    finally:
        unnamed.unlink(missing_ok=True)
    return fd


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Hold the lock of a segment during the block; yield False if a process has it, or the file is gone.

    Raises:
        OSError: the file cannot be opened.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)  # NFS gives an exclusive lock only to writers
    except FileNotFoundError:
        yield False
        return
    try:
        yield _lock(fd) and _is_still(path, fd)
    finally:
        os.close(fd)


def sync_segment(path: Path) -> bool:
    """Sync a segment to the disk, also one that a process is writing. Return True if none is.

    Raises:
        OSError: the disk is failing. A file that is gone is no error.
    """
    with claimed(path) as is_closed:
        pass
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    return is_closed


def _is_still(path: Path, fd: int) -> bool:
    """Return True if the path leads to the open file. Meanwhile another process may have deleted or replaced it."""
    try:
        return os.path.samestat(path.stat(), os.fstat(fd))
    except FileNotFoundError:
        return False


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
