"""An advisory lock that one process holds while it lives, with the holder's name and its heartbeat.

The kernel releases the lock when the process ends, however it ends. The file names the holder. Its modification time is
the holder's last heartbeat.
"""

import contextlib
import fcntl
import os
import time
from pathlib import Path

_TRIES = 3
_PAUSE_S = 0.002


class ProcessLock:
    """A lock that this process holds."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd

    def heartbeat(self) -> None:
        """Note that the holder is running. It calls this periodically."""
        os.utime(self._fd)

    def release(self) -> None:
        """Give the lock up. A second call does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def take_lock(path: Path) -> ProcessLock | None:
    """Take a lock in the name of this process; return None if it is held.

    Raises:
        OSError: the file cannot be written.
    """
    for _ in range(_TRIES):
        fd = _open(path)
        if _lock(fd, fcntl.LOCK_EX):
            with contextlib.suppress(OSError):  # a disk that is full must not keep the holder from its work
                os.truncate(fd, os.pwrite(fd, _identity(os.getpid()).encode(), 0))
            return ProcessLock(path, fd)
        os.close(fd)
        time.sleep(_PAUSE_S)  # the lock may be held by a process that only looks
    return None


def is_held(path: Path) -> bool:
    """Return True if a process holds the lock.

    Raises:
        OSError: the file cannot be written.
    """
    fd = _open(path)
    try:
        return not _lock(fd, fcntl.LOCK_SH)  # processes that look do not hinder each other
    finally:
        os.close(fd)


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


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _lock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _identity(pid: int) -> str:
    """Return a name for a process that stays unique if its pid is reused: pid, boot, pid namespace, and start time."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    namespace = Path("/proc/self/ns/pid").readlink()
    started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return f"{pid} {boot} {namespace} {started}"
