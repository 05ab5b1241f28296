"""How often a segment could not be turned into Parquet: a number that survives the process.

Each try that failed is an empty file beside the segment, which can be created even when the disk has no space for
content.
"""

import contextlib
from pathlib import Path

MAX_TRIES = 3
"""After this many tries a segment is set aside."""


def note_failed_try(segment: Path) -> int:
    """Note that a try has failed. Return how many have, this one included."""
    failed = 1 + sum(_note(segment, number).exists() for number in range(1, MAX_TRIES + 1))
    with contextlib.suppress(OSError):  # a folder that cannot be written is no reason to end here
        _note(segment, failed).touch()
    return failed


def forget_tries(segment: Path) -> None:
    """Forget all tries."""
    with contextlib.suppress(OSError):
        for number in range(1, MAX_TRIES + 1):
            _note(segment, number).unlink(missing_ok=True)


def _note(segment: Path, number: int) -> Path:
    return segment.with_name(f"{segment.name}.try{number}")
