"""The file in which the companion says what routes wait for, so that the replicas of its machine can report it.

What concerns no route but the machine, such as a log that lags, stands there under an empty name.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import structlog

from router.quantities import format_rough_duration
from store.report import Report

_log = structlog.get_logger()

NAME = "follow-waits.json"
MACHINE = ""
_TOUCHED_EVERY_S = 5.0
_OLD_AFTER_S = 30.0
"""What the companion said earlier is not taken for what holds now. It has a low priority, so it may be late."""


def with_waits(report: Report, waits: Mapping[str, str]) -> Report:
    """Return a report that has these sentences among its warnings, as far as it is about their routes.

    What concerns the machine is added to its trouble.
    """
    warnings = dict(report.warnings)
    for route, sentence in waits.items():
        if route in report.routes:
            warnings[route] = f"{warnings.get(route, '')} {sentence}".strip()
    trouble = f"{report.trouble} {waits.get(MACHINE, '')}".strip()
    return replace(report, warnings=warnings, trouble=trouble)


class WaitsFile:
    """The writer. The file is replaced when a sentence changes, and touched now and then."""

    def __init__(self, home: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = home / NAME
        self._clock = clock
        self._written: dict[str, str] | None = None
        self._touched_s = 0.0

    def write(self, waits: Mapping[str, str]) -> None:
        """Replace the file if it has changed. A disk error is logged, and tried again."""
        now_s = self._clock()
        is_same = waits == self._written
        if is_same and now_s - self._touched_s < _TOUCHED_EVERY_S:
            return
        self._touched_s = now_s
        fresh = self._path.with_suffix(".new")
        try:
            if is_same:
                os.utime(self._path)
                return
            fresh.write_text(json.dumps(dict(waits)))
            fresh.rename(self._path)
        except OSError as error:
            self._written = None
            _log.warning("gateway.waits.not_written", path=str(fresh), error=str(error))
        else:
            self._written = dict(waits)


class WaitsReader:
    """The reader. The file is read once for each time that it is replaced or touched."""

    def __init__(self, home: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = home / NAME
        self._clock = clock
        self._changed_ns = 0
        self._known: Mapping[str, str] = {}

    def read(self) -> Mapping[str, str]:
        """Return what each route waits for; nothing if there is no such file. What is old is said to be old."""
        try:
            changed_ns = self._path.stat().st_mtime_ns
            if changed_ns != self._changed_ns:
                known = json.loads(self._path.read_text())
                self._known, self._changed_ns = {str(route): str(each) for route, each in known.items()}, changed_ns
        except FileNotFoundError:
            self._known = {}
        except (OSError, ValueError, AttributeError):
            pass
        age_s = self._clock() - self._changed_ns / 1e9
        if age_s < _OLD_AFTER_S:
            return self._known
        silence = f"Nothing was heard of the companion of this machine for {format_rough_duration(age_s)}."
        return {route: f"{silence} It said before: {each}" for route, each in self._known.items() if each}
