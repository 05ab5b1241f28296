"""The spool, where segments wait to be shipped. Each replica holds a seat: a folder and an advisory lock.

A replica takes the lowest free seat of its machine. The lock ends with the process, however it ends. So the segments of
a killed replica are found by the next replica that takes its seat or looks for free ones.
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
    """A seat that this process holds: a folder and an open lock file.

    The lock file names the process that holds the seat. Its modification time is the holder's last heartbeat.
    """

    def __init__(self, number: int, folder: Path, lock_fd: int) -> None:
        self.number = number
        self.folder = folder
        self._lock_fd = lock_fd

    def heartbeat(self) -> None:
        """Note that the holder is running. It calls this periodically."""
        os.utime(self._lock_fd)

    def release(self) -> None:
        """Give the seat up."""
        os.close(self._lock_fd)


def take_seat(root: Path) -> Seat:
    """Take the lowest free seat.

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
    """Yield the segments in free seats. The seats stay locked while the caller works on them."""
    with ExitStack() as held:
        paths: list[Path] = []
        for folder in _folders(root):
            seat = _try_seat(root, int(folder.name))
            if seat is not None:
                held.callback(seat.release)
                paths += segments(seat.folder)
        yield paths


def segments(folder: Path) -> list[Path]:
    """Return the segments of one folder, oldest first."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def all_segments(root: Path) -> list[Path]:
    """Return every segment below the root, in free and in held seats. For readers only."""
    return [path for folder in _folders(root) for path in segments(folder)]


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("*") if path.name.isdigit() and path.is_dir())


def _try_seat(root: Path, number: int) -> Seat | None:
    folder = root / str(number)
    folder.mkdir(parents=True, exist_ok=True)
    lock_fd = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(lock_fd, 0)  # the process named there no longer holds it
    except BlockingIOError:
        os.close(lock_fd)
        return None
    except OSError:
        os.close(lock_fd)
        raise
    return Seat(number, folder, lock_fd)


def held_seats(root: Path) -> set[int]:
    """Return the numbers of the seats that are held now."""
    held = set()
    for path in _folders(root):
        seat = _try_seat(root, int(path.name))
        if seat is None:
            held.add(int(path.name))
        else:
            seat.release()
    return held


def holder(root: Path, number: int) -> tuple[int, float] | None:
    """Return the process that holds a seat, and its last heartbeat (seconds since the epoch).

    Return None unless there is no doubt: it must be a running process of this machine, this boot and this pid
    namespace, the same one that took the seat, and not the caller.
    """
    lock = root / str(number) / _LOCK
    try:
        identity, heartbeat_s = lock.read_text(), lock.stat().st_mtime
        pid = int(identity.partition(" ")[0])
        return (pid, heartbeat_s) if pid != os.getpid() and identity == _identity(pid) else None
    except (OSError, ValueError, IndexError):
        return None


def _identity(pid: int) -> str:
    """Return a name for a process that stays unique if its pid is reused: pid, boot, pid namespace, and start time."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    namespace = Path("/proc/self/ns/pid").readlink()
    started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return f"{pid} {boot} {namespace} {started}"
