"""The file in which the companion says what routes wait for, so that the replicas of its machine can report it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import structlog

from store.interface import Report

_log = structlog.get_logger()

NAME = "follow-waits.json"


def with_waits(report: Report, waits: Mapping[str, str]) -> Report:
    """Return a report that has these sentences among its warnings, as far as it is about their routes."""
    warnings = dict(report.warnings)
    for route, sentence in waits.items():
        if route in report.routes:
            warnings[route] = f"{warnings.get(route, '')} {sentence}".strip()
    return replace(report, warnings=warnings)


class WaitsFile:
    """The writer. The file is replaced when a sentence changes."""

    def __init__(self, home: Path) -> None:
        self._path = home / NAME
        self._written: dict[str, str] | None = None

    def write(self, waits: Mapping[str, str]) -> None:
        """Replace the file if it has changed. A disk error is logged, and tried again."""
        if waits == self._written:
            return
        fresh = self._path.with_suffix(".new")
        try:
            fresh.write_text(json.dumps(dict(waits)))
            fresh.rename(self._path)
        except OSError as error:
            _log.warning("gateway.waits.not_written", path=str(fresh), error=str(error))
        else:
            self._written = dict(waits)


class WaitsReader:
    """The reader. The file is read once for each time that it is replaced."""

    def __init__(self, home: Path) -> None:
        self._path = home / NAME
        self._changed_ns = 0
        self._known: Mapping[str, str] = {}

    def read(self) -> Mapping[str, str]:
        """Return what each route waits for; nothing if there is no such file."""
        try:
            changed_ns = self._path.stat().st_mtime_ns
            if changed_ns != self._changed_ns:
                known = json.loads(self._path.read_text())
                self._known, self._changed_ns = {str(route): str(each) for route, each in known.items()}, changed_ns
        except FileNotFoundError:
            self._known = {}
        except (OSError, ValueError, AttributeError):
            pass
        return self._known
