"""An advisory lock that one process holds while it lives, with the holder's name and its heartbeat.

The kernel releases the lock when the process ends, however it ends. The file names the holder. Its modification time is
the holder's last heartbeat.
"""

import fcntl
import os
from pathlib import Path


class ProcessLock:
    """A lock that this process holds."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd

    def heartbeat(self) -> None:
        """Note that the holder is running. It calls this periodically."""
        os.utime(self._fd)

    def release(self) -> None:
        """Give the lock up."""
        os.close(self._fd)


def take_lock(path: Path) -> ProcessLock | None:
    """Take a lock in the name of this process; return None if it is held.

    Raises:
        OSError: the file cannot be written.
    """
    lock = _lock(path)
    if lock is not None:
        path.write_text(_identity(os.getpid()))
    return lock


def is_held(path: Path) -> bool:
    """Return True if a process holds the lock.

    Raises:
        OSError: the file cannot be written.
    """
    lock = _lock(path)
    if lock is None:
        return True
    lock.release()
    return False


def holder(path: Path) -> tuple[int, float] | None:
    """Return the process that holds a lock, and its last heartbeat (seconds since the epoch).

    Return None unless there is no doubt: it must be a running process of this machine, this boot and this pid
    namespace, the same one that took the lock, and not the caller.
    """
    try:
        identity, heartbeat_s = path.read_text(), path.stat().st_mtime
        pid = int(identity.partition(" ")[0])
        return (pid, heartbeat_s) if pid != os.getpid() and identity == _identity(pid) else None
    except (OSError, ValueError, IndexError):
        return None


def _lock(path: Path) -> ProcessLock | None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(fd, 0)  # the process named there no longer holds it
    except BlockingIOError:
        os.close(fd)
        return None
    except OSError:
        os.close(fd)
        raise
    return ProcessLock(path, fd)


def _identity(pid: int) -> str:
    """Return a name for a process that stays unique if its pid is reused: pid, boot, pid namespace, and start time."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    namespace = Path("/proc/self/ns/pid").readlink()
    started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return f"{pid} {boot} {namespace} {started}"
