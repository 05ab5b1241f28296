"""The file in which a replica says which version serves each arm, so that the companion process knows.

It is replaced when another version serves an arm. It lies in the folder of the replica's seat.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
import structlog

from gateway.inference.live_table import LiveTable
from router.document.document import Candidate

_log = structlog.get_logger()

_NAME = "served"

Served = dict[str, dict[str, Candidate]]
"""The version that serves each arm, by route and arm."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(dict[str, dict[str, tuple[str, str]]]).decode


class ServedFile:
    """The writer of the file of one replica, in the folder of its seat."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written = b""

    def write(self, live: LiveTable) -> None:
        """Replace the file if it has changed. A disk error is logged: the companion then goes by what it knows."""
        served = _encode(
            {name: {arm.name: (arm.version, arm.digest) for arm in one.route.arms} for name, one in live.routes.items()}
        )
        if served == self._written:
            return
        fresh = self._folder / f"{_NAME}.new"
        try:
            fresh.write_bytes(served)
            fresh.rename(self._folder / _NAME)
        except OSError as error:
            _log.warning("gateway.served.not_written", path=str(fresh), error=str(error))
        else:
            self._written = served


def forget_served(folder: Path) -> None:
    """Remove what an earlier replica of the seat has left. This one serves nothing yet."""
    (folder / _NAME).unlink(missing_ok=True)


class ServedFiles:
    """The reader of the files of several replicas. Each file is read once for each time that it is replaced."""

    def __init__(self) -> None:
        self._read: dict[Path, tuple[int, Served]] = {}

    def read(self, folders: Iterable[Path]) -> Mapping[str, Mapping[str, Candidate]]:
        """Return what the replicas with these folders serve. Where they differ, the one that changed last counts."""
        self._read = {folder: each for folder in folders if (each := self._read_one(folder)) is not None}
        by_age = [served for _, served in sorted(self._read.values(), key=lambda each: each[0])]
        return {name: arms for served in by_age for name, arms in served.items()}

    def _read_one(self, folder: Path) -> tuple[int, Served] | None:
        path = folder / _NAME
        try:
            changed_ns = path.stat().st_mtime_ns
            known = self._read.get(folder)
            if known is not None and known[0] == changed_ns:
                return known
            served = _decode(path.read_bytes())
        except (OSError, msgspec.DecodeError):
            return None
        return changed_ns, {
            name: {arm: Candidate(*version) for arm, version in arms.items()} for name, arms in served.items()
        }
