"""The heartbeat of a process that holds a lock, from when it takes it until just before it releases it.

So the other processes of the machine see that it runs also while modules are imported or models load, and while the
last work is done. This module imports nothing large.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

_EVERY_S = 1.0


class Held(Protocol):
    """A lock, or a seat."""

    def heartbeat(self) -> None:
        """Note that its holder is running."""


def _always() -> bool:
    return True


class Heartbeat:
    """Gives the heartbeat of a lock, in a thread, as long as `is_working` returns True."""

    def __init__(self, held: Held, every_s: float = _EVERY_S) -> None:
        self.is_working: Callable[[], bool] = _always
        self._held = held
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Give no more heartbeats."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            if self.is_working():
                with suppress(OSError):
                    self._held.heartbeat()
