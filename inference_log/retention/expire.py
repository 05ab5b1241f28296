"""Removes old days of the log, in a directory or in S3. It may be run twice, or be killed."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from inference_log.completeness.days import start_us
from inference_log.completeness.state import NotClosed, is_closed
from inference_log.files import LogFiles

TABLES = ("inferences", "wide", "rewards", "payloads")
"""What goes. The tables `audit` and `policies` are small, and explain what is left."""

_THREADS = 8
_DAY = "dt="
_ROUTE = "route="


class Expired(NamedTuple):
    """How many files of a day were removed, or would be."""

    day: str
    files: int
    bytes: int


def expire(
    files: LogFiles,
    before: str,
    *,
    force: bool = False,
    dry_run: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[Expired]:
    """Remove the days before a day, the oldest first, and yield what was removed of each.

    `force` also removes days that are not closed; without it, nothing at all is removed if there are any.

    Raises:
        DayRefused: `before` is not a day.
        NotClosed: some days are not closed.
        LogUnavailable: the log cannot be read or changed now. The next call goes on.
    """
    start_us(before)
    folders = _folders(files, before)
    if not force:
        left_open = [day for day in folders if not is_closed(files, day)]
        if left_open:
            raise NotClosed(f"These days are not closed, so nothing was removed: {', '.join(left_open)}.")
    for day, of_day in folders.items():
        progress(f"removing {day}")
        stored = [each for folder in of_day for each in files.list(folder)]
        records = files.list(f"_compactions/{_DAY}{day}/")
        if not dry_run:
            for part in (stored, records):  # as long as there are files, the records say which of them are copies
                with ThreadPoolExecutor(_THREADS) as pool:
                    list(pool.map(lambda each: files.remove(each.key), part))
        yield Expired(day, len(stored), sum(each.size for each in stored))


def _folders(files: LogFiles, before: str) -> dict[str, list[str]]:
    """Return the folders of each day before a day, the oldest first."""
    routes = [
        f"{table}/{route}/" for table in TABLES for route in files.folders(f"{table}/") if route.startswith(_ROUTE)
    ]
    with ThreadPoolExecutor(_THREADS) as pool:
        found: Sequence[Sequence[str]] = list(pool.map(files.folders, routes))
    days: dict[str, list[str]] = {}
    for route, names in zip(routes, found, strict=True):
        for name in names:
            if name.startswith(_DAY) and name.removeprefix(_DAY) < before:
                days.setdefault(name.removeprefix(_DAY), []).append(f"{route}{name}/")
    return dict(sorted(days.items()))
