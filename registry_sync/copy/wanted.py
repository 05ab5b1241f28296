"""What the processes of this machine wait for: a small file each. The companion reads them and copies it.

A document's versions are copied without that. An operator's command needs its versions before there is a document.
"""

import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from registry_sync.copy.whole_file import HIDDEN, write_whole
from registry_sync.errors import RegistryUnavailable

_FOLDER = "wanted"
_MOST = 1024
_TOUCHED_AFTER_S = 30.0
_FORGOTTEN_AFTER_S = 300.0


class Want(msgspec.Struct, frozen=True, omit_defaults=True):
    """A version of a model, or its details alone, or, without a version, the model's aliases.

    They are wanted as of `since_s`: for a version, a try that failed before then does not count (seconds since the
    epoch); nor does an answer of before then, for details (seconds since the epoch) and for aliases (seconds since the
    machine's start).
    """

    model: str
    version: str = ""
    since_s: float = 0.0
    is_details: bool = False


_decode = msgspec.json.Decoder(Want).decode


class Wants:
    """The files of one copy."""

    def __init__(self, root: Path) -> None:
        self._folder = root / _FOLDER
        self._known: dict[str, tuple[tuple[int, int], Want]] = {}

    def leave(self, want: Want) -> None:
        """Leave a file that says what is wanted. Without `since_s`, one that is there already says it.

        Raises:
            RegistryUnavailable: too many are there, or the disk does not allow it.
        """
        of = f"{want.model}\0{want.version}" + "\0details" * want.is_details
        name = hashlib.sha256(of.encode("utf-8", "surrogatepass")).hexdigest()
        path = self._folder / name
        try:
            try:
                age_s = time.time() - path.stat().st_mtime
            except FileNotFoundError:
                self._folder.mkdir(parents=True, exist_ok=True)
                if sum(1 for _ in self._folder.iterdir()) >= _MOST:
                    raise RegistryUnavailable(f"{_MOST} versions are being waited for already; try again.") from None
            else:
                if not want.since_s:
                    if age_s > _TOUCHED_AFTER_S:
                        os.utime(path)
                    return
            write_whole(path, msgspec.json.encode(want), is_lasting=False)
        except OSError as error:
            raise RegistryUnavailable(f"This machine's copy of the registry cannot be used: {error}.") from error

    def stamp(self) -> int:
        """Return a number that changes when a file is left."""
        try:
            return self._folder.stat().st_mtime_ns
        except OSError:
            return 0

    def read(self) -> list[Want]:
        """Return what is wanted. Forget what no process has asked for in five minutes. One process may call this."""
        known, before_s = self._known, time.time() - _FORGOTTEN_AFTER_S
        self._known = {}
        with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(OSError, msgspec.DecodeError):
                    found = entry.stat()
                    if found.st_mtime < before_s:
                        Path(entry.path).unlink()
                    elif not entry.name.startswith(HIDDEN):
                        before, stamp = known.get(entry.name), (found.st_ino, found.st_mtime_ns)
                        if before is None or before[0] != stamp:
                            before = stamp, _decode(Path(entry.path).read_bytes())
                        self._known[entry.name] = before
        return [want for _, want in self._known.values()]
