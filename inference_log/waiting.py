"""What waits in a spool: how many bytes, and how old the oldest row is that is not in the log yet."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from inference_log.segment import SUFFIX, read_range
from inference_log.spool import DEAD_LETTER

_LOOK_BYTES = 2 * 1024 * 1024
"""A context and a record, which are at the beginning, are smaller."""


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """What lies in a spool, in bytes that its files take. `oldest_s` is in seconds since the epoch, None without rows.

    `total_bytes` counts everything: segments, also those that are being written, those that were set aside, and files
    that are about to be stored.
    """

    total_bytes: int = 0
    segments: int = 0
    segment_bytes: int = 0
    set_aside: int = 0
    set_aside_bytes: int = 0
    oldest_s: float | None = None


def _of_none(_: Path) -> bool:
    return False


class SpoolMeter:
    """Measures a spool. Of segments for which `is_stored` returns True only the deletion waits: their rows do not."""

    def __init__(self, root: Path, is_stored: Callable[[Path], bool] = _of_none) -> None:
        self._root = root
        self._is_stored = is_stored
        self._first_s: dict[Path, float] = {}

    def measure(self) -> Waiting:
        """Return what is there now. Files that vanish meanwhile are left out.

        Raises:
            OSError: the spool cannot be read.
        """
        total = segments = segment_bytes = set_aside = set_aside_bytes = 0
        waiting: set[Path] = set()
        for path, found in _files(self._root):
            total += found.st_blocks * 512
            if path.suffix != SUFFIX:
                continue
            if path.parent.name == DEAD_LETTER:
                set_aside, set_aside_bytes = set_aside + 1, set_aside_bytes + found.st_size
                continue
            segments, segment_bytes = segments + 1, segment_bytes + found.st_size
            if not self._is_stored(path):
                waiting.add(path)
        return Waiting(
            total_bytes=total,
            segments=segments,
            segment_bytes=segment_bytes,
            set_aside=set_aside,
            set_aside_bytes=set_aside_bytes,
            oldest_s=self._oldest_s(waiting),
        )

    def _oldest_s(self, waiting: set[Path]) -> float | None:
        """Return when the oldest row of some segments came."""
        for path in self._first_s.keys() - waiting:
            del self._first_s[path]
        for path in waiting - self._first_s.keys():
            first_s = _first_row_s(path)
            if first_s is not None:
                self._first_s[path] = first_s
        return min(self._first_s.values(), default=None)


def _files(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the files of all folders of a spool."""
    for folder in root.iterdir():
        if not folder.is_dir():
            continue
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    if entry.is_file(follow_symlinks=False):
                        yield Path(entry.path), entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    pass


def _first_row_s(path: Path) -> float | None:
    """Return when the first row of a segment came, by its own time; None if it has none yet.

    Of a segment that cannot be read it is the time when the file was changed.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        found = read_range(fd, 0, _LOOK_BYTES)
        if found.end == 0:
            return os.fstat(fd).st_mtime
    except (OSError, msgspec.MsgspecError):
        return None
    finally:
        os.close(fd)
    times_us = [record.event_us for record in found.records[:1]] + [reward.arrived_us for reward in found.rewards[:1]]
    return min(times_us) / 1e6 if times_us else None
