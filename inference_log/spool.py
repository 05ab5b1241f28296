"""The spool, where segments wait to be shipped: a folder for each replica of the machine, and one for the companion.

Each replica holds a seat: a numbered folder with a lock. A replica takes the lowest free seat. It is free again when
the replica's process ends, however it ends.
"""

from pathlib import Path

from inference_log.process_lock import ProcessLock, is_held, take_lock
from inference_log.segment import SUFFIX

DEAD_LETTER = "dead-letter"
"""The folder of the segments that were set aside."""

_LOCK = "lock"
_MAX_SEATS = 1024


class Seat:
    """A seat that this process holds."""

    def __init__(self, number: int, lock: ProcessLock) -> None:
        self.number = number
        self.folder = lock.path.parent
        self.heartbeat = lock.heartbeat
        self.release = lock.release


def take_seat(root: Path) -> Seat:
    """Take the lowest free seat.

    Raises:
        OSError: the folder cannot be written.
    """
    for number in range(_MAX_SEATS):
        lock = take_lock(root / str(number) / _LOCK)
        if lock is not None:
            return Seat(number, lock)
    raise OSError(f"All {_MAX_SEATS} seats below {root} are held.")


def held_seats(root: Path) -> set[int]:
    """Return the numbers of the seats that are held now."""
    return {int(path.parent.name) for path in seat_locks(root) if is_held(path)}


def seat_locks(root: Path) -> list[Path]:
    """Return the lock files of all seats, held or free."""
    return sorted(path for path in root.glob(f"*/{_LOCK}") if path.parent.name.isdigit())


def segments(folder: Path) -> list[Path]:
    """Return the segments of one folder, oldest first."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def all_segments(root: Path) -> list[Path]:
    """Return every segment that waits, those that are being written included, by folder and age."""
    return sorted(path for path in root.glob(f"*/*{SUFFIX}") if path.parent.name != DEAD_LETTER)
