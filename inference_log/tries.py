"""How often a segment could not be turned into Parquet: a number that survives the process.

Each try that failed is an empty file beside the segment, which can be created even when the disk has no space for
content.
"""

import contextlib
import os
from pathlib import Path

MAX_TRIES = 3
"""After this many tries a segment is set aside."""

_PAUSES_S = (0.0, 60.0, 600.0)
"""The pause before each try: what made one fail, such as too little memory, may be over by the next."""


def note_failed_try(segment: Path, now_s: float) -> int:
    """Note that a try has failed at `now_s`, in seconds since the epoch. Return how many have, this one included."""
    failed = 1 + sum(_note(segment, number).exists() for number in range(1, MAX_TRIES + 1))
    with contextlib.suppress(OSError):  # a folder that cannot be written is no reason to end here
        _note(segment, failed).touch()
        os.utime(_note(segment, failed), (now_s, now_s))
    return failed


def is_due(segment: Path, now_s: float) -> bool:
    """Return True if the segment may be tried again at `now_s`, in seconds since the epoch."""
    failed_s = [path.stat().st_mtime for number in range(1, MAX_TRIES) if (path := _note(segment, number)).exists()]
    return not failed_s or now_s - max(failed_s) >= _PAUSES_S[len(failed_s)]


def forget_tries(segment: Path) -> None:
    """Forget all tries."""
    with contextlib.suppress(OSError):
        for number in range(1, MAX_TRIES + 1):
            _note(segment, number).unlink(missing_ok=True)


def _note(segment: Path, number: int) -> Path:
    return segment.with_name(f"{segment.name}.try{number}")
