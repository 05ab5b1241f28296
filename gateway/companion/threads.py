"""Threads that are stopped together, and the one that watches other processes."""

import threading
import time
from collections.abc import Callable
from typing import Any

import structlog

from gateway.companion.fence import Fence
from gateway.telemetry.periodic import PeriodicJob, run_every

_log = structlog.get_logger()

_FENCE_EVERY_S = 1.0


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

    def stop(self, within_s: float | None = None) -> None:
        """Stop the threads, and wait for them, for at most `within_s` seconds if that is given."""
        self._stop.set()
        until_s = None if within_s is None else time.monotonic() + within_s
        for thread in self._threads:
            thread.join(None if until_s is None else max(0.0, until_s - time.monotonic()))


def watch_processes(stop: threading.Event, fence: Fence) -> None:
    """Watch the heartbeats of other processes."""

    def look() -> None:
        try:
            fence.look(time.monotonic())
        except OSError as error:
            _log.warning("gateway.fence.failed", error=str(error))

    run_every(stop, _FENCE_EVERY_S, PeriodicJob(look, "gateway.fence.failed"))
