"""Files by their sha256, each once. One process adds them; every process of the machine reads them.

A file is written beside its place, held against its digest and its size, synced to the disk, and renamed. So what is in
its place is whole, whenever the process that writes was ended.
"""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from registry_sync.copy.steps import Hook, no_hook
from registry_sync.copy.whole_file import HIDDEN
from registry_sync.errors import RegistryUnavailable
from runtimes.errors import ModelRefused

_SPARE_BYTES = 256 * 1024**2
"""What stays free on the disk: the log and the store need it, too."""


class Blob(NamedTuple):
    """A file that is there: its size, and when it was used last, in seconds since the epoch."""

    size: int
    used_s: float


class Blobs:
    """The files of one copy. `hook` is called at each step of adding one."""

    def __init__(self, folder: Path, hook: Hook = no_hook) -> None:
        self._folder = folder
        self._hook = hook

    def remove_leftovers(self) -> None:
        """Remove what a process that was ended has not finished. Only the process that adds files may call this."""
        for left in self._folder.glob(f"{HIDDEN}*"):
            left.unlink(missing_ok=True)

    def add(self, name: str, pieces: Iterable[bytes], announced: int, sha256: str | None = None) -> str:
        """Write a file of `announced` bytes. Return its sha256. `name` is for the sentences.

        Raises:
            ModelRefused: its digest is not `sha256`.
            RegistryUnavailable: more or less bytes came than were announced, or the disk is full.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._require_space(name, announced)
            descriptor, fresh = tempfile.mkstemp(prefix=HIDDEN, dir=self._folder)
            try:
                found = self._write(name, descriptor, pieces, announced)
                if sha256 not in (None, found):
                    raise ModelRefused(
                        f"{name} in the registry has sha256 {found[:12]}…, model.yaml pins {str(sha256)[:12]}…: "
                        "the file was changed or damaged. Publish it again as a new version."
                    )
                self._hook(f"written {name}")
                Path(fresh).replace(self.path(found))
            except BaseException:
                Path(fresh).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise RegistryUnavailable(f"{name} cannot be written to this machine's copy: {error}.") from error
        self._hook(f"renamed {name}")
        return found

    def path(self, sha256: str) -> Path:
        """Return the place of a file, which may be there or not."""
        return self._folder / sha256

    def present(self) -> dict[str, Blob]:
        """Return the files that are there."""
        return dict(self._scan())

    def read(self, sha256: str) -> bytes | None:
        """Return the content of a file, and note that it is used; None if it is not there.

        A file that was damaged on this disk is removed, so that it is fetched anew.
        """
        path = self.path(sha256)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        if hashlib.sha256(content).hexdigest() != sha256:
            path.unlink(missing_ok=True)
            return None
        with suppress(OSError):  # it has just been removed, or the disk is read-only
            os.utime(path)
        return content

    def remove(self, sha256: str) -> None:
        """Remove a file. A process that has it open reads it to its end."""
        self.path(sha256).unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """Return what this disk has left."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self._folder).free

    def _write(self, name: str, descriptor: int, pieces: Iterable[bytes], announced: int) -> str:
        digest, size = hashlib.sha256(), 0
        with os.fdopen(descriptor, "wb") as file:
            self._hook(f"begun {name}")
            for piece in pieces:
                size += len(piece)
                if size > announced:
                    break
                digest.update(piece)
                file.write(piece)
            if size != announced:
                came = "more" if size > announced else size
                raise RegistryUnavailable(f"{name} came with {came} bytes; the registry announced {announced}.")
            file.flush()
            os.fsync(file.fileno())
        return digest.hexdigest()

    def _require_space(self, name: str, size: int) -> None:
        if self.free_bytes() < size + _SPARE_BYTES:
            raise RegistryUnavailable(f"{name} has {size} bytes, for which this machine's disk has no room.")

    def _scan(self) -> Iterator[tuple[str, Blob]]:
        try:
            entries = os.scandir(self._folder)
        except FileNotFoundError:
            return
        with entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if not entry.name.startswith(HIDDEN):
                        found = entry.stat()
                        yield entry.name, Blob(found.st_size, found.st_mtime)


def now_s() -> float:
    """Return the time that `Blob.used_s` is compared with."""
    return time.time()
