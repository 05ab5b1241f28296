"""Erases one unit from the log of this machine's gateway: Parquet files, and segments that were set aside.

What waits in a segment is not touched: its writer, or the shipper, has it. Nor are parts of segments of other machines.
It is counted, and erased by a later run, once it is Parquet. Files that a compaction has replaced are removed first:
their rows are in others.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from inference_log.compaction.records import read_records
from inference_log.compaction.sweep import sweep
from inference_log.compaction.wide import WIDE
from inference_log.erase.segments import count_in, count_in_parts, decisions_in, is_of_unit, remove_from
from inference_log.erase.tables import Rewritten, count_of, decisions_of, files_of, remove_rows
from inference_log.file_names import segment_of
from inference_log.files import LogFiles
from inference_log.schema import INFERENCES, PAYLOADS, REWARDS
from inference_log.segment import SUFFIX
from inference_log.spool import DEAD_LETTER, all_segments, segments
from inference_log.strict.parts import parts_by_segment, read_parts

_BY_DECISION = (PAYLOADS.name, REWARDS.name, WIDE)
T = TypeVar("T")


@dataclass
class Erasure:
    """What was removed: files by table, and entries of segments that were set aside.

    `waiting` rows are in segments, in parts of those of other machines, or in files whose segment still waits.
    `unread` names segments of which a part could not be read. If either is not empty, the unit is not erased yet.
    """

    decisions: int = 0
    rewritten: dict[str, list[Rewritten]] = field(default_factory=dict)
    set_aside: dict[str, int] = field(default_factory=dict)
    waiting: int = 0
    unread: list[str] = field(default_factory=list)

    @property
    def removed(self) -> dict[str, int]:
        """The number of rows that were removed, by table, and of entries of segments that were set aside."""
        found = {table: sum(each.removed for each in those) for table, those in self.rewritten.items()}
        return {**found, "dead-letter": sum(self.set_aside.values())}

    @property
    def is_complete(self) -> bool:
        """True if nothing of the unit is left where this machine can see it."""
        return not self.waiting and not self.unread


def erase_unit(
    files: LogFiles, spool: Path, unit_hash: str, route: str | None, progress: Callable[[str], None]
) -> Erasure:
    """Erase a unit from one route or from all. It may be killed, and run again.

    Raises:
        LogUnavailable: a file cannot be read, written or removed. What was done before stays done.
        OSError: a segment cannot be read or written.
    """
    done = Erasure()
    waiting, aside = all_segments(spool), segments(spool / DEAD_LETTER)
    names = {path.name.removesuffix(SUFFIX) for path in waiting}
    progress("looking for the unit's decisions")
    decisions: set[str] = set()
    for path in (*waiting, *aside):
        decisions |= _read(done, path, lambda path: decisions_in(path, unit_hash, route)) or set()
    _remove_replaced(files)
    inferences = files_of(files, INFERENCES.name, route)
    for key in inferences:
        decisions |= decisions_of(files, key, unit_hash)
    done.decisions = len(decisions)
    told = is_of_unit(unit_hash, route, decisions)
    for path in waiting:
        done.waiting += _read(done, path, lambda path: count_in(path, told)) or 0
    for segment, parts in parts_by_segment(files).items():
        if segment not in names:
            done.waiting += count_in_parts(read_parts(files, parts), told)
    for table in _BY_DECISION:
        progress(f"removing rows of {table}")
        _remove(done, files, table, files_of(files, table, route), names, "decision_id", decisions)
    for path in aside:
        removed, unread = _read(done, path, lambda path: remove_from(path, told)) or (0, 0)
        if removed:
            done.set_aside[path.name] = removed
        if unread and path.name not in done.unread:
            done.unread.append(path.name)
    progress("removing rows of inferences")
    _remove(done, files, INFERENCES.name, inferences, names, "unit_hash", {unit_hash})
    return done


def _remove_replaced(files: LogFiles) -> None:
    """Remove the files that a compaction has replaced, and keeps for a while for readers that have listed them."""
    for record in read_records(files):
        if record.inputs:
            sweep(files, record.day, record.table, record.route, record.verified_us, keep_us=0)


def _remove(
    done: Erasure,
    files: LogFiles,
    table: str,
    keys: Iterable[str],
    waiting: set[str],
    column: str,
    values: set[str],
) -> None:
    for key in keys if values else ():
        if segment_of(key) in waiting:  # its segment would be stored again under the old name
            done.waiting += count_of(files, key, column, values)
            continue
        rewritten = remove_rows(files, key, column, values)
        if rewritten is not None:
            done.rewritten.setdefault(table, []).append(rewritten)


def _read(done: Erasure, path: Path, read: Callable[[Path], T]) -> T | None:
    """Return what is read from a segment, or None if it is gone or damaged; damaged ones are noted."""
    try:
        return read(path)
    except FileNotFoundError:
        return None  # it became Parquet after it was listed
    except msgspec.MsgspecError:
        if path.name not in done.unread:
            done.unread.append(path.name)
        return None
