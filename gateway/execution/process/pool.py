"""The processes of a replica's lanes: started in the foreground or the background, and ended once they are unused."""

import time
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor

from gateway.execution.lane import LaneKey
from gateway.execution.latency import LatencyModel, measured_times
from gateway.execution.process.executor import ProcessExecutor
from gateway.execution.process.model import BlockingModel, ProcessOptions
from gateway.execution.process.supervisor import Supervisor
from registry_sync.catalogue import Version
from runtimes.errors import ModelRefused
from runtimes.manifest import Manifest

_RETRY_AFTER_S = 30.0  # a process that could not be started costs seconds of a processor each time
_SHADOW_NICE = 10
_OPENED_AT_ONCE = 4  # so that a process that hangs while it loads does not keep the others waiting


class ProcessPool:
    """All processes of one replica. One thread uses it, which may block."""

    def __init__(self, options: ProcessOptions | None) -> None:
        """Build an empty pool. Without `options` it refuses to open any process."""
        self._options = options
        self._refused: dict[LaneKey, tuple[Manifest, float, str]] = {}
        self._retired: list[ProcessExecutor] = []
        self._opening: dict[LaneKey, Future[tuple[ProcessExecutor, bool]]] = {}
        self._opener = ThreadPoolExecutor(_OPENED_AT_ONCE, thread_name_prefix="open")
        self._starting: set[Supervisor] = set()

    def open(self, key: LaneKey, version: Version) -> tuple[ProcessExecutor, bool]:
        """Return an executor for the version, and True if its requests can be batched.

        A version that was refused is refused again for half a minute without an attempt: the reconciler cannot follow
        changes of other routes while a process loads. A shadow is opened in the background.

        Raises:
            ModelRefused: the process cannot be started, or has not started yet; the sentence says which.
        """
        manifest, refused_s, sentence = self._refused.get(key, (None, 0.0, ""))
        if manifest == version.manifest and time.monotonic() - refused_s < _RETRY_AFTER_S:
            raise ModelRefused(sentence)
        try:
            return self._open_in_background(key, version) if key.is_shadow else self._start(key, version)
        except ModelRefused as error:
            if key not in self._opening:
                self._refused[key] = version.manifest, time.monotonic(), str(error)
            raise

    def has_news(self) -> bool:
        """Return True if a process that was started in the background is ready, or could not be started."""
        return any(future.done() for future in self._opening.values())

    def retire(self, executor: ProcessExecutor) -> None:
        """End a process once it has been unused for a while.

        Requests that began before the next snapshot still use its lane.
        """
        self._retired.append(executor)

    def retain(self, keys: Collection[LaneKey]) -> None:
        """Forget all other lanes, and end the retired processes that have been unused for long enough."""
        self._refused = {key: refusal for key, refusal in self._refused.items() if key in keys}
        for key in self._opening.keys() - keys:
            self._opening.pop(key).add_done_callback(_close_opened)
        if self._options is not None:
            linger_s = self._options.linger_s
            self._retired = [executor for executor in self._retired if not executor.close_if_unused(linger_s)]

    def close(self) -> None:
        """End the retired processes and those that are being started. Block until they have ended."""
        for supervisor in self._starting.copy():
            supervisor.close()  # so that a model that hangs while it loads is not waited for
        self._opener.shutdown(cancel_futures=True)
        for future in self._opening.values():
            _close_opened(future)
        self._opening = {}
        for executor in self._retired:
            executor.close()
        self._retired = []

    def _open_in_background(self, key: LaneKey, version: Version) -> tuple[ProcessExecutor, bool]:
        future = self._opening.get(key)
        if future is None:
            future = self._opening[key] = self._opener.submit(self._start, key, version)
        if not future.done():
            raise ModelRefused(f"{version.key} is being started.")
        del self._opening[key]
        return future.result()

    def _start(self, key: LaneKey, version: Version) -> tuple[ProcessExecutor, bool]:
        options = self._options
        if options is None:
            raise ModelRefused(f"{version.key} wants a process of its own, which this gateway does not start.")
        supervisor = Supervisor(version.key, options, _SHADOW_NICE if key.is_shadow else 0)
        self._starting.add(supervisor)
        try:
            model = BlockingModel(supervisor.open(), version.manifest.signature)
            latency = LatencyModel(*measured_times(model))
        except BaseException:
            supervisor.close()
            raise
        finally:
            self._starting.discard(supervisor)
        max_rows = version.manifest.max_batch
        executor = ProcessExecutor(supervisor, latency, max_rows=max_rows, hang_after_s=options.hang_after_s)
        return executor, supervisor.is_batching


def _close_opened(future: Future[tuple[ProcessExecutor, bool]]) -> None:
    """End a process that no lane needs any more, if it was started."""
    if not future.cancelled() and future.exception() is None:
        future.result()[0].close()
