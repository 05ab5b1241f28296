"""Periodic work of a background thread, and trouble that is logged once instead of at every tick."""

import threading
from collections.abc import Callable
from typing import NamedTuple

import structlog

_log = structlog.get_logger()


class PeriodicJob(NamedTuple):
    """Work that is repeated. `failed` is the log event for an exception that `tick` raises."""

    tick: Callable[[], object]
    failed: str


def run_every(stop: threading.Event, every_s: float, *jobs: PeriodicJob) -> None:
    """Run the jobs in their order, again and again with a pause of `every_s`, until `stop` is set."""
    while not stop.wait(every_s):
        run_once(*jobs)


def run_once(*jobs: PeriodicJob) -> None:
    """Run each job. An exception is logged; it neither skips the jobs after it nor ends the thread in silence."""
    for job in jobs:
        try:
            job.tick()
        except Exception:  # noqa: BLE001  # see above
            _log.exception(job.failed)


class LogOnce:
    """Logs trouble when it begins, and not again until it is over.

    `event` is the log event of the beginning, `over` that of the end; an empty `over` leaves the end unlogged.
    `trouble` is the last error sentence, or empty while all is well.
    """

    def __init__(self, event: str, over: str = "") -> None:
        self.trouble = ""
        self._event = event
        self._over = over

    def note(self, trouble: str) -> None:
        """Take the error sentence of now. An empty one means that all is well."""
        if trouble and not self.trouble:
            _log.warning(self._event, error=trouble)
        elif self.trouble and not trouble and self._over:
            _log.info(self._over)
        self.trouble = trouble
