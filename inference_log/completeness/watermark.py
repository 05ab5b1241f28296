"""The watermark of a machine: up to which time everything that it logged is in the log.

It is one small file for each machine, which the machine replaces.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from inference_log.errors import LogUnavailable
from inference_log.files import LogFiles
from inference_log.pieces import first_time_us
from inference_log.spool import DEAD_LETTER, all_segments, segments

_FOLDER = "_watermarks/"


class Watermark(msgspec.Struct, frozen=True):
    """What a machine says. Times are microseconds since the epoch, by the clock of the machine.

    Everything that it logged before `shipped_until_us` is in the log, but for `set_aside` segments. `waiting` counts
    the segments that are not. A machine that `has_ended` has stopped, and left nothing behind.
    """

    machine: str
    at_us: int
    shipped_until_us: int
    waiting: int
    set_aside: int
    has_ended: bool = False


class Spool:
    """The segments of a machine, of which it remembers when they begin."""

    def __init__(self, folder: Path, machine: str) -> None:
        self._folder = folder
        self._machine = machine
        self._begins_us: dict[Path, int] = {}

    def watermark(self, now_us: int, *, is_last: bool = False) -> Watermark:
        """Return what the machine can say now. With `is_last`, no process of it logs any more.

        Raises:
            OSError: the spool cannot be read.
        """
        waiting = all_segments(self._folder)
        self._begins_us = {path: self._begins_us[path] for path in waiting if path in self._begins_us}
        oldest_us = min([now_us, *(self._begin_us(path, now_us) for path in waiting)])
        set_aside = len(segments(self._folder / DEAD_LETTER))
        return Watermark(self._machine, now_us, oldest_us, len(waiting), set_aside, is_last and not waiting)

    def _begin_us(self, path: Path, now_us: int) -> int:
        """Return when the first entry of a segment was made: now, if it has none yet."""
        known = self._begins_us.get(path)
        if known is not None:
            return known
        try:
            begin_us = first_time_us(path)
        except FileNotFoundError:
            return now_us  # it was shipped meanwhile
        except (OSError, msgspec.MsgspecError, ValueError, TypeError):
            return int(path.stat().st_mtime * 1e6)  # the shipper will set it aside
        if begin_us is None:
            return now_us
        self._begins_us[path] = begin_us
        return begin_us


def write_watermark(files: LogFiles, watermark: Watermark) -> None:
    """Replace the machine's watermark.

    Raises:
        LogUnavailable: the log cannot be written now.
    """
    files.write(f"{_FOLDER}{watermark.machine}.json", msgspec.json.encode(watermark))


def read_watermarks(files: LogFiles) -> Sequence[Watermark]:
    """Return the watermark of every machine that ever wrote one.

    Raises:
        LogUnavailable: the log cannot be read now, or one is damaged.
    """
    found = []
    for stored in files.list(_FOLDER):
        content = files.read(stored.key)
        if content is None:
            continue  # an operator removed it meanwhile
        try:
            found.append(msgspec.json.decode(content, type=Watermark))
        except msgspec.DecodeError as error:
            raise LogUnavailable(
                f"{files.path(stored.key)} is damaged: {error}. Its machine replaces it; if that is gone, remove it."
            ) from error
    return found
