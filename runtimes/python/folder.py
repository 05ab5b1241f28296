"""Private folders: with the verified files of a version, for code that reads them by path, or for a while.

A folder is locked (flock) while its process lives. It is removed when the process ends. If the process is killed, its
parent removes the folder, or else the next process that makes such a folder.
"""

import atexit
import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from runtimes.manifest import Files

_PREFIX = "pointsman-model-"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def private_folder(files: Files) -> Path:
    """Write the files to a new folder that only this user can read, and return it."""
    remove_unused()
    folder, _ = _locked_folder()
    atexit.register(_remove, folder, os.getpid())
    for path, content in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return folder


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Give an empty folder that only this user can read, and remove it afterwards."""
    remove_unused()
    folder, lock = _locked_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _locked_folder() -> tuple[Path, int]:
    """Make a folder, and lock it until the descriptor is closed. Another process may remove it before it is locked."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(folder, _FOLDER)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # a process that the model forked runs the same exit handlers
        shutil.rmtree(folder, ignore_errors=True)


def remove_unused() -> None:
    """Remove the folders of this user's processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # it is no folder, or locked, or has just been removed
            lock = os.open(folder, _FOLDER)
            try:
                if os.fstat(lock).st_uid == os.getuid():
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
