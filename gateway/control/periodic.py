"""What a replica does for all of them, twice a second: counts, lets rollouts advance, notes changes. Acts, in a thread.

None of it is owed by one replica alone: what one misses, another does, or the next tick.
"""

import threading
import time

import structlog

from gateway.control.audit import AuditTrail
from gateway.control.log_counter import LogCounter
from gateway.control.rollouts import RolloutDriver

_log = structlog.get_logger()


class PeriodicWork:
    """One per replica."""

    def __init__(self, counter: LogCounter, advancer: RolloutDriver, audit: AuditTrail, every_s: float) -> None:
        self.counter = counter
        self.advancer = advancer
        self.audit = audit
        self._every_s = every_s

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set; then what has come meanwhile is counted and noted."""
        while not stop.wait(self._every_s):
            self._tick()
        self._tick()

    def _tick(self) -> None:
        """What one of them raises does not keep the others from their work, nor end the thread in silence."""
        for work in (
            self.counter.tick,
            lambda: self.advancer.tick(time.time()),
            lambda: self.audit.tick(time.time()),
        ):
            try:
                work()
            except Exception:  # noqa: BLE001  # see above
                _log.exception("gateway.steward.failed")
