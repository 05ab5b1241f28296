"""The heartbeat of the companion, from when it takes its lock. It imports nothing large."""

import threading
from collections.abc import Callable
from contextlib import suppress

from inference_log.process_lock import ProcessLock

_EVERY_S = 1.0


def _always() -> bool:
    return True


class Signs:
    """Gives the heartbeat of a lock, as long as `is_working` returns True."""

    def __init__(self, lock: ProcessLock, every_s: float = _EVERY_S) -> None:
        self.is_working: Callable[[], bool] = _always
        self._lock = lock
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
                    self._lock.heartbeat()
