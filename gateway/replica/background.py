"""The background threads of one replica: what each of them repeats, and how often."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

import structlog

from gateway.access.jwks import LOOK_EVERY_S, JwksSource
from gateway.control.audit import AuditTrail
from gateway.control.log_counter import LogCounter
from gateway.control.rollouts import RolloutDriver
from gateway.replica.fence import Fence
from gateway.telemetry.periodic import PeriodicJob, run_every, run_once
from inference_log.ship import Shipper
from inference_log.spool import Seat

_log = structlog.get_logger()

_FENCE_EVERY_S = 1.0
_SHIP_EVERY_S = 1.0
_SHIP_AT_END_S = 5.0
"""How long a replica that ends goes on shipping. Others ship the rest. Serve grants 25 s to all last work."""


class ThreadGroup:
    """Threads that are stopped together. They are daemon threads: they do not delay the end of the process."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, name: str, run: Callable[..., None], *arguments: Any) -> None:
        """Run `run(stop, *arguments)` in a thread. It must return soon after the event `stop` is set."""
        thread = threading.Thread(target=run, args=(self._stop, *arguments), name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    async def stop(self) -> None:
        """Stop the threads, and wait for them without blocking the event loop."""
        self._stop.set()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)


def keep_signing_keys(stop: threading.Event, jwks: JwksSource) -> None:
    """Keep the keys that sign tokens current."""
    run_every(stop, LOOK_EVERY_S, PeriodicJob(lambda: jwks.tick(time.monotonic()), "gateway.jwks.failed"))


def show_heartbeat(stop: threading.Event, seat: Seat) -> None:
    """Show the neighbours that this process runs: from when it takes its seat until just before it releases it.

    So the heartbeat also goes on while models load and while the last segments are shipped.
    """

    def show() -> None:
        with contextlib.suppress(OSError):
            seat.heartbeat()

    run_every(stop, _FENCE_EVERY_S, PeriodicJob(show, "gateway.fence.failed"))


def watch_neighbours(stop: threading.Event, fence: Fence) -> None:
    """Watch the heartbeats of the other replicas of this machine."""

    def look() -> None:
        try:
            fence.look(time.monotonic())
        except OSError as error:
            _log.warning("gateway.fence.failed", error=str(error))

    run_every(stop, _FENCE_EVERY_S, PeriodicJob(look, "gateway.fence.failed"))


def do_shared_work(
    stop: threading.Event, every_s: float, counter: LogCounter, rollouts: RolloutDriver, audit: AuditTrail
) -> None:
    """Count the log, advance rollouts and write changes into the log; once more after `stop`, for what came meanwhile.

    Every replica does this work for all of them. If one misses something, another one or the next tick does it.
    """
    failed = "gateway.steward.failed"
    jobs = (
        PeriodicJob(counter.tick, failed),
        PeriodicJob(lambda: rollouts.tick(time.time()), failed),
        PeriodicJob(lambda: audit.tick(time.time()), failed),
    )
    run_every(stop, every_s, *jobs)
    run_once(*jobs)


def ship_segments(stop: threading.Event, shipper: Shipper, max_age_s: float, max_bytes: int) -> None:
    """Ship closed segments; after `stop` all of them, so that a replica that ends in order leaves few or none behind.

    A backlog must not hold up the end. What is not shipped in `_SHIP_AT_END_S`, the next start or a neighbour ships.
    """
    job = PeriodicJob(lambda: shipper.tick(max_age_s, max_bytes, stop.is_set), "inference_log.roll.failed")
    run_every(stop, _SHIP_EVERY_S, job)
    until_s = time.monotonic() + _SHIP_AT_END_S
    shipper.tick(0.0, 0, lambda: time.monotonic() > until_s)
