"""What the companion repeats: a place for each job, with how often and in which thread it runs.

Jobs of one thread run one after the other. A job that may take long has a thread of its own, so that it does not delay
an abort. A new job, such as learning, is one more line in `Stewardship` or, with a thread of its own, in
`Companion.start`.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from gateway.companion.child_converter import ChildConverter
from gateway.companion.node_view import NodeView
from gateway.control.audit import AuditTrail
from gateway.control.learned_file import LearnedFile
from gateway.control.learning.learner import Learner
from gateway.control.log_counter import LogCounter
from gateway.control.pace import pause_s
from gateway.control.rollouts import RolloutDriver
from gateway.control.route_shares import RouteShares
from gateway.telemetry.periodic import LogOnce, PeriodicJob, run_every, run_once
from inference_log.segment_lock import sync_segment
from inference_log.ship import Shipper
from inference_log.spool import all_segments
from inference_log.writer import LogWriter
from store.errors import StoreUnavailable

_SYNC_EVERY_S = 1.0
_SHIP_EVERY_S = 1.0


class Stewardship:
    """Counts the log, advances rollouts, learns, writes changes into the log, and publishes what came of it.

    The jobs run in this order. Before them it says that this machine runs, which gives it a share of the routes.

    `retain` is called after each look at the rollouts. It forgets what they did not ask for.
    """

    def __init__(
        self,
        *,
        view: NodeView,
        shares: RouteShares,
        counter: LogCounter,
        rollouts: RolloutDriver,
        learner: Learner,
        learned: LearnedFile,
        audit: AuditTrail,
        retain: Callable[[], None],
        publish: Callable[[], None],
    ) -> None:
        self._shares = shares
        self._counter = counter
        self._count_at_s = float("-inf")
        self._rollouts = rollouts
        self._retain = retain
        self._began_s = time.monotonic()
        failed = "gateway.companion.failed"
        self._jobs = (
            PeriodicJob(self._begin, failed),
            PeriodicJob(view.refresh, failed),
            PeriodicJob(lambda: shares.refresh(is_able=view.serves), failed),
            PeriodicJob(self._count, failed),
            PeriodicJob(self._advance, failed),
            PeriodicJob(lambda: learner.tick(time.time()), failed),
            PeriodicJob(lambda: view.keep_policies(learned), failed),
            PeriodicJob(lambda: audit.tick(time.time()), failed),
            PeriodicJob(publish, failed),
        )

    def run(self, stop: threading.Event, every_s: float) -> None:
        """Work until `stop` is set, and once more after it, for what came meanwhile."""
        run_every(stop, every_s, *self._jobs)
        self._count_at_s = float("-inf")
        run_once(*self._jobs)
        with suppress(StoreUnavailable):  # then the other machines notice it after a while
            self._shares.leave()

    def stuck_s(self) -> float:
        """Return the seconds since the last round of the jobs began."""
        return time.monotonic() - self._began_s

    def _begin(self) -> None:
        self._began_s = time.monotonic()

    def _count(self) -> None:
        """Count, unless the store is shared with so many machines that it needs a rest from this one."""
        if time.monotonic() < self._count_at_s:
            return
        self._counter.tick()
        self._count_at_s = time.monotonic() + pause_s(self._shares.machines, self._counter.store_s)

    def _advance(self) -> None:
        self._rollouts.tick(time.time())
        self._retain()


def sync_segments(stop: threading.Event, spool: Path) -> None:
    """Sync the segments that are being written to the disk, so that a power failure costs about a second.

    Closed ones are synced once more.
    """
    synced: set[Path] = set()
    outage = LogOnce("inference_log.sync.failed")

    def sync() -> None:
        waiting = all_segments(spool)
        synced.intersection_update(waiting)
        trouble = ""
        for path in waiting:
            try:
                if path not in synced and sync_segment(path):
                    synced.add(path)
            except OSError as error:
                trouble = str(error)
        outage.note(trouble)

    run_every(stop, _SYNC_EVERY_S, PeriodicJob(sync, "inference_log.sync.failed"))


class Shipping:
    """Ships the segments that no process is writing.

    First it closes those of the companion's own `writers` that are old or large enough.
    """

    def __init__(
        self, spool: Path, writers: Sequence[LogWriter], shipper: Shipper, converter: ChildConverter, at_end_s: float
    ) -> None:
        self._spool = spool
        self._writers = writers
        self._shipper = shipper
        self._converter = converter
        self._at_end_s = at_end_s

    def run(self, stop: threading.Event, max_age_s: float, max_bytes: int, is_last: Callable[[], bool]) -> None:
        """Ship until `stop` is set; then, if no replica is left to start another companion, the rest.

        A backlog must not hold up the end. What is not shipped in `at_end_s`, the next start ships.
        """
        failed = "inference_log.roll.failed"
        run_every(stop, _SHIP_EVERY_S, PeriodicJob(lambda: self._tick(max_age_s, max_bytes, stop.is_set), failed))
        if is_last():
            until_s = time.monotonic() + self._at_end_s
            run_once(PeriodicJob(lambda: self._tick(0.0, 0, lambda: time.monotonic() > until_s), failed))

    def _tick(self, max_age_s: float, max_bytes: int, expired: Callable[[], bool]) -> None:
        for writer in self._writers:
            writer.rotate(max_age_s, max_bytes)
        try:
            self._shipper.tick(expired, is_last=not max_bytes)
        finally:
            self._converter.rest()
