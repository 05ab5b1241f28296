"""How often it was tried to turn a segment into Parquet: a number that survives the process.

A try is noted before it begins. So one that ends the process, as when memory runs out, counts as well. Each try is an
empty file beside the segment, which can be created even when the disk has no space for content.
"""

import contextlib
from pathlib import Path

MAX_TRIES = 3
"""After this many tries a segment is set aside."""


def tries(segment: Path) -> int:
    """Return how many tries have begun and were not taken back."""
    return sum(_note(segment, number).exists() for number in range(1, MAX_TRIES + 1))


def begin_try(segment: Path) -> None:
    """Note a try. If the folder cannot be written the try goes on: shipping may be what frees the disk."""
    with contextlib.suppress(OSError):
        _note(segment, tries(segment) + 1).touch()


def take_back(segment: Path) -> None:
    """Forget the last try: the segment was not at fault."""
    with contextlib.suppress(OSError):
        _note(segment, tries(segment)).unlink(missing_ok=True)


def forget_tries(segment: Path) -> None:
    """Forget all tries."""
    with contextlib.suppress(OSError):
        for number in range(1, MAX_TRIES + 1):
            _note(segment, number).unlink(missing_ok=True)


def _note(segment: Path, number: int) -> Path:
    return segment.with_name(f"{segment.name}.try{number}")
