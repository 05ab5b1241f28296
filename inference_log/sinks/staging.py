"""The folder in which files for S3 are written before they are put there. One process at a time uses it."""

import contextlib
from pathlib import Path


def remove_leftovers(staging: Path) -> None:
    """Remove what a process has left that was killed. What cannot be removed stays, and takes space."""
    with contextlib.suppress(OSError):
        for left in staging.iterdir():
            with contextlib.suppress(OSError):
                left.unlink()
