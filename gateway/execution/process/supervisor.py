"""Keeps the process of one model version running: when it ends, it is started again, after growing pauses.

`Supervisor.supervise` starts a thread that blocks, so that the event loop need not. The two share `child`, which is
None while no process can take a batch.
"""

import threading
import time
from collections.abc import Callable, Mapping

import structlog

from gateway.execution.process.child import ChildProcess
from gateway.execution.process.model import ProcessOptions, await_loaded, start_model
from registry_sync.version import VersionKey
from runtimes.errors import ModelRefused
from runtimes.manifest import Example, Signature

_log = structlog.get_logger()

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
_RAN_LONG_S = 60.0
_END_S = 5.0


class Supervisor:
    """The supervisor of one lane's process. While `child` is None, `sentence` says why."""

    def __init__(
        self,
        key: VersionKey,
        options: ProcessOptions,
        nice: int,
        *,
        seen: Signature | None = None,
        unbatched_because: str | None = None,
    ) -> None:
        self.child: ChildProcess | None = None
        self.sentence = "Its process is being started."
        self.unbatched_because = unbatched_because
        self.examples: Mapping[str, Example] = {}
        self._key = key
        self._options = options
        self._nice = nice
        self._seen = seen
        self._lock = threading.Lock()
        self._newest: ChildProcess | None = None
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> ChildProcess:
        """Start the process, and wait until it has loaded the model.

        Raises:
            ModelRefused: it does not; the sentence says why.
        """
        try:
            child = self._start()
        except ModelRefused as error:
            raise ModelRefused(f"{self._key}: {error}") from error
        self.child = child
        return child

    def supervise(self, ended: Callable[[ChildProcess], None]) -> None:
        """Start the thread that replaces the process each time it ends. `ended` is called in that thread."""
        self._thread = threading.Thread(target=self._supervise, args=(ended,), name="supervisor", daemon=True)
        self._thread.start()

    def discard(self, child: ChildProcess, sentence: str) -> None:
        """Kill a process that is of no use any more. Another one will be started."""
        if self.child is child:
            self.child, self.sentence = None, sentence
        child.kill()

    def close(self, within_s: float = _END_S) -> None:
        """End the process, and start no other. Wait at most this long for its end."""
        with self._lock:
            self._closing.set()
            newest = self._newest
        if newest is not None:
            newest.kill()
        if self._thread is not None:
            self._thread.join(within_s)
        elif newest is not None and within_s > 0:
            newest.wait()
            newest.close()

    def _start(self) -> ChildProcess:
        with self._lock:
            if self._closing.is_set():
                raise ModelRefused("It is being ended.")
            try:
                child = self._newest = start_model(
                    self._key,
                    self._options,
                    self._nice,
                    seen=self._seen,
                    unbatched_because=self.unbatched_because,
                )
            except OSError as error:
                raise ModelRefused(f"Its process cannot be started: {error!r}.") from error
        try:
            loaded = await_loaded(child, self._options.open_within_s)
        except BaseException:
            child.kill()
            child.wait()
            child.close()
            raise
        self.unbatched_because, self.examples = loaded.unbatched_because, loaded.examples
        _log.info("gateway.process.started", version=str(self._key), pid=child.pid, nice=self._nice)
        return child

    def _supervise(self, ended: Callable[[ChildProcess], None]) -> None:
        child, pause_s = self._newest, FIRST_PAUSE_S
        while child is not None:
            started_s = time.monotonic()
            sentence = child.wait()
            if self.child is child:
                self.child, self.sentence = None, f"{sentence}; it is being started again."
            ended(child)
            if not self._closing.is_set():
                _log.warning("gateway.process.ended", version=str(self._key), pid=child.pid, reason=sentence)
            if time.monotonic() - started_s > _RAN_LONG_S:
                pause_s = FIRST_PAUSE_S
            child, pause_s = self._restart(pause_s)

    def _restart(self, pause_s: float) -> tuple[ChildProcess | None, float]:
        """Try until the next process has started. Return it, and the pause before the one after it.

        Return None instead of a process if the supervisor is closed meanwhile.
        """
        while not self._closing.wait(pause_s):
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            try:
                self.child = self._start()
            except Exception as error:  # noqa: BLE001  # the thread must not end: nothing else would start the process
                self.sentence = f"Its process could not be started again: {error}"
                _log.warning("gateway.process.not_started", version=str(self._key), error=repr(error))
            else:
                return self.child, pause_s
        return None, pause_s
