"""What the trials of a machine have found out, in files that its processes share.

There is one for each version, and one more while the version is being tried.
"""

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from gateway.execution.checking.steps import Step
from registry_sync.version import Tried, VersionKey

_T = TypeVar("_T")

_UNUSED_FOR_S = 30 * 86400.0
_MOST_BYTES = 1 << 20
"""Of a file. One of ours has less than a hundred steps of 8,000 characters at most."""
_NAME_LENGTH = 64
"""Of a result: a SHA-256. Locks and the steps of now have a suffix."""
_LOCK, _NOW = ".lock", ".now"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """The trial of a version: when it ended, in seconds since the epoch, its steps, and what it has found out.

    `failure` is why the version may not be served, or an empty text.
    """

    key: VersionKey
    at_s: float
    took_s: float
    steps: tuple[Step, ...]
    failure: str = ""
    tried: Tried | None = None


class Trying(msgspec.Struct, frozen=True):
    """A version that is being tried, its step, and when its trial began, in seconds since the epoch."""

    key: VersionKey
    step: str
    began_s: float


# msgspec notes the types of the fields now: two threads that do so at once end the process.
for _kind in Record, Trying:
    msgspec.json.Decoder(_kind)


class Records:
    """The files of one folder. Any thread may use them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, tuple[tuple[int, ...], Record | None]] = {}
        self._remove_unused()

    def read(self, name: str) -> Record | None:
        """Return a result, or None if there is none that can be read. A file that has not changed is not read again."""
        path = self._folder / name
        try:
            stamp = _stamp(path.stat())
            known = self._known.get(name)
            if known is None or known[0] != stamp:
                known = self._known[name] = stamp, _read(path, Record)
        except OSError:
            self._known.pop(name, None)
            return None
        return known[1]

    def all(self) -> list[Record]:
        """Return every result."""
        names = [file.name for file in self._files() if len(file.name) == _NAME_LENGTH]
        for gone in set(self._known) - set(names):
            self._known.pop(gone, None)
        return [record for record in map(self.read, names) if record is not None]

    def trying(self) -> list[Trying]:
        """Return the versions that are being tried now, by any process of this machine."""
        found = []
        for file in self._files():
            if file.suffix == _NOW and self._is_locked(file.stem):
                with contextlib.suppress(OSError):
                    found.append(_read(file, Trying))
        return [each for each in found if each is not None]

    def note_use(self, name: str) -> None:
        """Note that a result is in use, so that it is kept."""
        with contextlib.suppress(OSError):
            os.utime(self._folder / name)

    def write(self, name: str, record: Record) -> None:
        """Keep a result. If the disk does not take it, the next process tries the version again."""
        self._write(name, msgspec.json.encode(record))

    def note_step(self, name: str, trying: Trying) -> None:
        """Show the step that is being done. Only the holder of the lock may call this."""
        self._write(name + _NOW, msgspec.json.encode(trying))

    def end_steps(self, name: str) -> None:
        """Show no step any more."""
        with contextlib.suppress(OSError):
            (self._folder / (name + _NOW)).unlink()

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Wait until no other thread or process tries the version.

        Raises:
            OSError: the disk does not allow it.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._folder / (name + _LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _files(self) -> list[Path]:
        try:
            return list(self._folder.iterdir())
        except OSError:
            return []

    def _is_locked(self, name: str) -> bool:
        """Return True if the version is being tried. A process that was killed has left its step behind."""
        try:
            descriptor = os.open(self._folder / (name + _LOCK), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _write(self, name: str, content: bytes) -> None:
        fresh = self._folder / f"{name}.{os.getpid()}-{threading.get_ident()}"
        with contextlib.suppress(OSError):
            fresh.write_bytes(content)
            fresh.replace(self._folder / name)

    def _remove_unused(self) -> None:
        """Remove the files of versions that were not loaded here for long."""
        before_s = time.time() - _UNUSED_FOR_S
        for file in self._files():
            with contextlib.suppress(OSError):  # another process has removed it, or it is none of ours
                if file.stat().st_mtime < before_s:
                    file.unlink()


def _read(path: Path, kind: type[_T]) -> _T | None:
    """Return the content of a file, or None if it is something else."""
    with path.open("rb") as stream:
        content = stream.read(_MOST_BYTES + 1)
    try:
        return msgspec.json.decode(content, type=kind) if len(content) <= _MOST_BYTES else None
    except msgspec.DecodeError:
        return None


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    return found.st_ino, found.st_size, found.st_mtime_ns
