"""Writes a small file as a whole: readers see the one before or the new one."""

import os
import tempfile
from pathlib import Path

HIDDEN = "."
"""The names of files that are being written begin with this."""


def write_whole(path: Path, content: bytes, *, is_lasting: bool = True) -> None:
    """Replace a file. With `is_lasting`, it survives a power failure.

    Raises:
        OSError: the disk does not allow it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, fresh = tempfile.mkstemp(prefix=HIDDEN, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if is_lasting:
                os.fsync(file.fileno())
        Path(fresh).replace(path)
    except BaseException:
        Path(fresh).unlink(missing_ok=True)
        raise
