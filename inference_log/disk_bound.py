"""The bound of the disk that a spool may take, and what is left out when it is near.

The log waits on the disk while its place is away. Requests are answered all the same, so there must be an end to that.
In this order nothing more is written: payloads, rows of routes whose durability is best_effort, all rows. What was
written stays until it is shipped. Segments that were set aside count, too.
"""

import shutil
import time
from enum import IntEnum
from pathlib import Path

import msgspec

from inference_log.waiting import SpoolMeter, Waiting

_LARGEST_DEFAULT_BYTES = 50 * 1024**3
_PAYLOADS_ABOVE, _BEST_EFFORT_ABOVE = 0.8, 0.9
"""The shares of the bound above which payloads, and rows of best effort, are left out."""

_FILE = "waiting.json"
_OLD_AFTER_S = 5.0


class Shed(IntEnum):
    """What is left out. Each includes those before it."""

    NOTHING = 0
    PAYLOADS = 1
    BEST_EFFORT = 2
    ALL = 3


class DiskUse(msgspec.Struct, frozen=True):
    """What waits in a spool, and the bytes that it may take."""

    waiting: Waiting
    max_bytes: int

    @property
    def shed(self) -> Shed:
        """What is left out at this use."""
        share = self.waiting.total_bytes / self.max_bytes
        if share >= 1.0:
            return Shed.ALL
        if share >= _BEST_EFFORT_ABOVE:
            return Shed.BEST_EFFORT
        return Shed.PAYLOADS if share >= _PAYLOADS_ABOVE else Shed.NOTHING


def bound_bytes(spool: Path, setting: int) -> int:
    """Return the bytes that a spool may take: the setting, or else half of what it has and could get, at most 50 GiB.

    Raises:
        OSError: the spool cannot be read.
    """
    if setting:
        return setting
    used = SpoolMeter(spool).measure().total_bytes
    return max(1, min(_LARGEST_DEFAULT_BYTES, (shutil.disk_usage(spool).free + used) // 2))


def write_use(spool: Path, use: DiskUse) -> None:
    """Replace the file in which the companion tells the replicas of its machine.

    Raises:
        OSError: the disk does not allow it.
    """
    fresh = spool / f"{_FILE}.new"
    fresh.write_bytes(msgspec.json.encode(use))
    fresh.replace(spool / _FILE)


class DiskUseReader:
    """What a replica knows. While no companion tells it, it measures. `setting` is that of the bound, or 0."""

    def __init__(self, spool: Path, setting: int) -> None:
        self._spool = spool
        self._setting = setting
        self._max_bytes = 0
        self._meter = SpoolMeter(spool)

    def read(self) -> DiskUse:
        """Return what was measured last.

        Raises:
            OSError: the spool cannot be read.
        """
        try:
            path = self._spool / _FILE
            if abs(time.time() - path.stat().st_mtime) < _OLD_AFTER_S:
                return msgspec.json.decode(path.read_bytes(), type=DiskUse)
        except (OSError, msgspec.DecodeError):
            pass
        self._max_bytes = self._max_bytes or bound_bytes(self._spool, self._setting)
        return DiskUse(self._meter.measure(), self._max_bytes)
