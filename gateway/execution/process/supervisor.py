"""Keeps one process of a model version alive: started again when it ends, later each time. Acts, in its own thread.

The thread blocks, so that the event loop need not; the two meet in `child`, which is None while there is nobody to ask.
"""

import threading
import time
from collections.abc import Callable

import structlog

from gateway.execution.process.child import ChildProcess, ProcessOptions
from gateway.execution.process.frames import Opening
from registry_sync.catalogue import VersionKey
from runtimes.errors import ModelRefused

_log = structlog.get_logger()

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
_LIVED_LONG_S = 60.0
_END_S = 5.0


class Supervisor:
    """One per lane. `child` can be asked; while it is None, `sentence` says why."""

    def __init__(self, key: VersionKey, options: ProcessOptions, nice: int) -> None:
        self.child: ChildProcess | None = None
        self.sentence = "Its process is being started."
        self.is_batching = False
        self._key = key
        self._opening = Opening(options.registry, (key.model, key.version, key.digest), options.load)
        self._options = options
        self._nice = nice
        self._lock = threading.Lock()
        self._newest: ChildProcess | None = None
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> ChildProcess:
        """Starts the process, and waits until it has loaded the model.

        Raises:
            ModelRefused: it does not; the sentence says why.
        """
        try:
            child = self._start()
        except ModelRefused as error:
            raise ModelRefused(f"{self._key}: {error}") from error
        self.child = child
        return child

    def keep(self, ended: Callable[[ChildProcess], None]) -> None:
        """From now on the process that was opened is replaced when it ends; `ended` is told, in another thread."""
        self._thread = threading.Thread(target=self._keep, args=(ended,), name="keeper", daemon=True)
        self._thread.start()

    def discard(self, child: ChildProcess, sentence: str) -> None:
        """Kills a process that is of no use any more; another will be started."""
        if self.child is child:
            self.child, self.sentence = None, sentence
        child.kill()

    def close(self) -> None:
        """Ends the process, and starts no other."""
        with self._lock:
            self._closing.set()
            newest = self._newest
        if newest is not None:
            newest.kill()
        if self._thread is not None:
            self._thread.join(_END_S)
        elif newest is not None:
            newest.wait()
            newest.close()

    def _start(self) -> ChildProcess:
        with self._lock:
            if self._closing.is_set():
                raise ModelRefused("It is being ended.")
            try:
                child = self._newest = ChildProcess(self._opening, self._nice)
            except OSError as error:
                raise ModelRefused(f"Its process cannot be started: {error!r}.") from error
        try:
            self.is_batching = child.open(self._options.open_within_s)
        except BaseException:
            child.kill()
            child.wait()
            child.close()
            raise
        _log.info("gateway.process.started", version=str(self._key), pid=child.pid, nice=self._nice)
        return child

    def _keep(self, ended: Callable[[ChildProcess], None]) -> None:
        child, pause_s = self._newest, FIRST_PAUSE_S
        while child is not None:
            started_s = time.monotonic()
            sentence = child.wait()
            if self.child is child:
                self.child, self.sentence = None, f"{sentence}; it is being started again."
            ended(child)
            if not self._closing.is_set():
                _log.warning("gateway.process.ended", version=str(self._key), pid=child.pid, reason=sentence)
            if time.monotonic() - started_s > _LIVED_LONG_S:
                pause_s = FIRST_PAUSE_S
            child, pause_s = self._started_again(pause_s)

    def _started_again(self, pause_s: float) -> tuple[ChildProcess | None, float]:
        """The next process, which may take many attempts, and how long to wait after that one; None at the end."""
        while not self._closing.wait(pause_s):
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            try:
                self.child = self._start()
            except Exception as error:  # noqa: BLE001  # a thread that ended in silence would be worse than any of them
                self.sentence = f"Its process could not be started again: {error}"
                _log.warning("gateway.process.not_started", version=str(self._key), error=repr(error))
            else:
                return self.child, pause_s
        return None, pause_s
