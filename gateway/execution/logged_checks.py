"""Asks a version that a route is about to follow requests of the route's log, in a process of its own.

The version has passed its trial. It is loaded again, at low priority and with the limits of a trial, and asked requests
that the route's arms have answered within the last day (`gateway.execution.checking.logged`). The result is remembered
in the home: a failure for ten minutes, since the log goes on, and anything else for a day.
"""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from gateway.execution.checking.messages import Logged, RegistryVersion, ToCheck
from gateway.execution.checking.process import check_in_process
from gateway.execution.checking.records import Record, Records
from gateway.execution.checking.steps import LOGGED, Step
from gateway.execution.process.model import ProcessOptions
from registry_sync.version import VersionKey
from router.spec.spec import CheckSpec
from runtimes.errors import ModelRefused

_log = structlog.get_logger()

_FOLDER = "asked"
_NICE = 10
_SINCE_S = _PASSED_FOR_S = 86_400.0
_FAILED_FOR_S = 600.0


class LoggedChecks:
    """The results of one home. Several threads and processes may use it."""

    def __init__(self, home: Path, log: str, options: ProcessOptions, now: Callable[[], float] = time.time) -> None:
        self._records = Records(home / _FOLDER)
        self._log = log
        self._options = options
        self._now = now

    def has_passed(self, route: str, check: CheckSpec, key: VersionKey) -> bool:
        """Return True if the version was asked within the last day, and its answers do not differ too often."""
        record = self._known(_name(route, check, key))
        return record is not None and not record.failure

    def require(self, route: str, check: CheckSpec, key: VersionKey) -> None:
        """Ask the version, unless it was asked lately. This takes up to minutes.

        Raises:
            ModelRefused: too many of its answers differ, or it did not come so far. The sentence says why.
        """
        name = _name(route, check, key)
        try:
            with self._records.locked(name):
                record = self._known(name)
                if record is None:
                    record = self._ask(route, check, key)
                    self._records.write(name, record)
        except OSError as error:
            raise ModelRefused(f"It cannot be asked logged requests: {error}.") from error
        if record.failure:
            raise ModelRefused(record.failure)

    def steps(self) -> dict[VersionKey, list[Step]]:
        """Return what is known of each version: the newest step for each route."""
        found: dict[VersionKey, dict[str, Step]] = {}
        for record in sorted(self._records.all(), key=lambda each: each.at_s):
            found.setdefault(record.key, {}).update({each.step: each for each in record.steps})
        return {key: list(steps.values()) for key, steps in found.items()}

    def _known(self, name: str) -> Record | None:
        record = self._records.read(name)
        if record is None:
            return None
        counts_for_s = _FAILED_FOR_S if record.failure else _PASSED_FOR_S
        return record if 0 <= self._now() - record.at_s < counts_for_s else None

    def _ask(self, route: str, check: CheckSpec, key: VersionKey) -> Record:
        began_s = self._now()
        logged = Logged(
            log=self._log,
            route=route,
            since_s=began_s - _SINCE_S,
            until_s=began_s,
            requests=check.logged,
            tolerance=check.tolerance,
            above=None if check.above is None else float(check.above),
            without_digest=key.digest,
        )
        what = RegistryVersion(self._options.registry, key.model, key.version)
        checked = check_in_process(ToCheck(what, self._options.load, logged, is_tried=True), lambda _: None, _NICE)
        step = next((each for each in checked.steps if each.step == LOGGED), checked.steps[-1])
        shown = msgspec.structs.replace(step, step=f"{step.step} of route {route}")
        _log.info("gateway.logged.asked", version=str(key), route=route, state=step.state, detail=step.detail)
        took_s = round(max(self._now() - began_s, 0.0), 3)
        return Record(key=key, at_s=self._now(), took_s=took_s, steps=(shown,), failure=checked.failure)


def _name(route: str, check: CheckSpec, key: VersionKey) -> str:
    above = None if check.above is None else str(check.above)
    asked = msgspec.json.encode((route, check.logged, above, check.tolerance, key))
    return hashlib.sha256(asked).hexdigest()
