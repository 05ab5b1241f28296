"""A private folder with the verified files of a version, for code that reads them by path.

The folder is removed when the process ends. If the process is killed, the next process that makes such a folder removes
it: a folder whose lock nobody holds belongs to no process.
"""

import atexit
import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from runtimes.manifest import Files

_PREFIX = "pointsman-model-"
_LOCK = ".lock"


def private_folder(files: Files) -> Path:
    """Write the files to a new folder that only this user can read, and return it."""
    _remove_unused()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    lock = os.open(folder / _LOCK, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)  # held until the process ends
    fcntl.flock(lock, fcntl.LOCK_EX)
    atexit.register(_remove, folder, os.getpid())
    for path, content in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return folder


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # a process that the model forked runs the same exit handlers
        shutil.rmtree(folder, ignore_errors=True)


def _remove_unused() -> None:
    """Remove the folders of this user's processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another user's, or it has just been made or removed
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            lock = os.open(folder / _LOCK, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
