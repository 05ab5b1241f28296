"""Where segments wait: one folder per seat, held by an advisory lock for as long as its owner lives. Acts.

A replica takes the lowest free seat of its machine. The lock goes with the process, however it ends, so the
segments of a replica that was killed are found by whoever takes, or looks into, its seat next.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from inference_log.segment import SUFFIX

_LOCK = "lock"
_MAX_SEATS = 1024


class Seat:
    """An owned folder. Keep the object: the lock is released with it.

    The lock file names its holder's process, and its time of change is when the holder last showed life.
    """

    def __init__(self, number: int, folder: Path, lock_fd: int) -> None:
        self.number = number
        self.folder = folder
        self._lock_fd = lock_fd

    def show_life(self) -> None:
        """Called again and again by a holder that is well."""
        os.utime(self._lock_fd)

    def release(self) -> None:
        """Lets somebody else have the seat."""
        os.close(self._lock_fd)


def take_seat(root: Path) -> Seat:
    """The lowest seat that nobody holds.

    Raises:
        OSError: the folder cannot be written.
    """
    for number in range(_MAX_SEATS):
        seat = _try_seat(root, number)
        if seat is not None:
            (seat.folder / _LOCK).write_text(_identity(os.getpid()))
            return seat
    raise OSError(f"All {_MAX_SEATS} seats below {root} are held.")


@contextmanager
def abandoned(root: Path) -> Iterator[list[Path]]:
    """The segments in seats that nobody holds, which stay locked while the caller works on them."""
    with ExitStack() as held:
        paths: list[Path] = []
        for folder in _folders(root):
            seat = _try_seat(root, int(folder.name))
            if seat is not None:
                held.callback(seat.release)
                paths += segments(seat.folder)
        yield paths


def segments(folder: Path) -> list[Path]:
    """The segments of one folder, oldest first."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def all_segments(root: Path) -> list[Path]:
    """Every segment below the root, whoever holds it: for readers."""
    return [path for folder in _folders(root) for path in segments(folder)]


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("*") if path.name.isdigit() and path.is_dir())


def _try_seat(root: Path, number: int) -> Seat | None:
    folder = root / str(number)
    folder.mkdir(parents=True, exist_ok=True)
    lock_fd = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(lock_fd, 0)  # whoever is named there holds it no more
    except BlockingIOError:
        os.close(lock_fd)
        return None
    except OSError:
        os.close(lock_fd)
        raise
    return Seat(number, folder, lock_fd)


def held_seats(root: Path) -> set[int]:
    """The numbers of the seats that somebody holds now."""
    held = set()
    for path in _folders(root):
        seat = _try_seat(root, int(path.name))
        if seat is None:
            held.add(int(path.name))
        else:
            seat.release()
    return held


def holder(root: Path, number: int) -> tuple[int, float] | None:
    """The process that holds a seat, and when it last showed life (seconds since the epoch).

    None unless it is beyond doubt: a living process of this machine, this boot and this pid namespace, the very one
    that took the seat, and not the caller.
    """
    lock = root / str(number) / _LOCK
    try:
        identity, shown_s = lock.read_text(), lock.stat().st_mtime
        pid = int(identity.partition(" ")[0])
        return (pid, shown_s) if pid != os.getpid() and identity == _identity(pid) else None
    except (OSError, ValueError, IndexError):
        return None


def _identity(pid: int) -> str:
    """Names a process beyond the reuse of its number: number, boot, pid namespace, and when it was started."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    namespace = Path("/proc/self/ns/pid").readlink()
    started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return f"{pid} {boot} {namespace} {started}"
