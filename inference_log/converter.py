"""What became of the conversion of a segment, and the Protocol of what converts.

`inference_log.local_converter` converts in its own process. The companion process has it done in a child process
(`gateway.companion.child_converter`), which may run out of memory, or crash, alone.
"""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import msgspec


class Outcome(StrEnum):
    """What became of a conversion."""

    STORED = "stored"
    """All rows are in the log, but for `torn_bytes` behind the first damaged frame."""

    INTERRUPTED = "interrupted"
    """The process is about to end."""

    UNAVAILABLE = "unavailable"
    """The sink or the disk failed. That is no fault of the segment."""

    FAILED = "failed"
    """The conversion failed or ended its process, perhaps because of the segment."""

    REFUSED = "refused"
    """The segment holds what no writer writes."""


class Converted(msgspec.Struct, frozen=True):
    """The result of one conversion. `rows` counts the rows that are new in the log.

    `sentence` says what went wrong, and `code` names it shortly, such as `SlowDown`.
    """

    outcome: Outcome
    rows: int = 0
    sentence: str = ""
    torn_bytes: int = 0
    code: str = ""


class Converter(Protocol):
    """Turns segments into Parquet."""

    def convert(self, path: Path, expired: Callable[[], bool]) -> Converted:
        """Store the rows of one segment. Stop soon after `expired` returns True. Never raise an `Exception`.

        `expired` is called before each piece that is read and after each file that is stored.
        """
