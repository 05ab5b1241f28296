"""The entries of one unit in segments: found in those that wait, removed from those that were set aside."""

import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from inference_log.payload import Payload
from inference_log.record import Context, Record, Reward, RewardContext, SegmentEntry
from inference_log.segment import framed_entries

IsOfUnit = Callable[[SegmentEntry, str], bool]
"""Returns True if an entry of a segment, which belongs to the route, is one of the unit's."""


def entries_of(path: Path) -> Iterator[tuple[SegmentEntry, str, bytes]]:
    """Yield each whole entry of a segment, its route (empty if it has none), and its bytes in the file.

    Raises:
        OSError: the file cannot be read.
        msgspec.MsgspecError: a whole frame is not an entry.
    """
    yield from _entries_in(path.read_bytes())


def _entries_in(segment: bytes) -> Iterator[tuple[SegmentEntry, str, bytes]]:
    routes: dict[int, str] = {}
    for entry, content in framed_entries(segment):
        route = ""
        if isinstance(entry, Record | Reward):
            route = routes.get(entry.context, "")
        elif isinstance(entry, Payload):
            route = entry.route
        elif isinstance(entry, Context | RewardContext):
            routes[entry.number] = entry.route
        yield entry, route, content


def is_of_unit(unit_hash: str, route: str | None, decisions: Collection[str]) -> IsOfUnit:
    """Return what tells the entries of a unit, on one route or all. `decisions` are those that are known to be its."""

    def told(entry: SegmentEntry, of: str) -> bool:
        if route is not None and of != route:
            return False
        if isinstance(entry, Record):
            return entry.unit_hash == unit_hash or entry.decision_id in decisions
        return isinstance(entry, Payload | Reward) and entry.decision_id in decisions

    return told


def decisions_in(path: Path, unit_hash: str, route: str | None) -> set[str]:
    """Return the decisions of the unit that a segment has. Raises like `entries_of`."""
    return {
        entry.decision_id
        for entry, of, _ in entries_of(path)
        if isinstance(entry, Record) and entry.unit_hash == unit_hash and route in (None, of)
    }


def count_in(path: Path, told: IsOfUnit) -> int:
    """Return how many entries of the unit a segment has. Raises like `entries_of`."""
    return sum(told(entry, route) for entry, route, _ in entries_of(path))


def count_in_parts(segment: bytes, told: IsOfUnit) -> int:
    """Return how many entries of the unit the beginning of a segment has. Raises msgspec.MsgspecError: see above."""
    return sum(told(entry, route) for entry, route, _ in _entries_in(segment))


def remove_from(path: Path, told: IsOfUnit) -> tuple[int, int]:
    """Remove the unit's entries from a segment that was set aside.

    Return how many there were, and how many bytes at its end could not be read; these are kept. Raises like
    `entries_of`.
    """
    content = path.read_bytes()
    kept: list[bytes] = []
    end = removed = 0
    for entry, route, framed in entries_of(path):
        end += len(framed)
        if told(entry, route):
            removed += 1
        else:
            kept.append(framed)
    if removed:
        staged = path.with_suffix(f".erase-{os.getpid()}")
        staged.touch(0o600)
        with staged.open("r+b") as file:
            file.write(b"".join([*kept, content[end:]]))
            file.flush()
            os.fsync(file.fileno())
        staged.rename(path)
    return removed, len(content[end:].rstrip(b"\0"))
