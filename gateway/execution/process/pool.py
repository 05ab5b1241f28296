"""The processes of a replica's lanes: started, and ended once they are unused."""

from gateway.execution.lane import LaneKey
from gateway.execution.latency import LatencyModel, measured_times
from gateway.execution.process.executor import ProcessExecutor
from gateway.execution.process.model import BlockingModel, ProcessOptions
from gateway.execution.process.supervisor import Supervisor
from registry_sync.catalogue import Version
from runtimes.errors import ModelRefused

_SHADOW_NICE = 10


class ProcessPool:
    """All processes of one replica. Several threads may call `open`, which blocks; one thread calls the rest."""

    def __init__(self, options: ProcessOptions | None) -> None:
        """Build an empty pool. Without `options` it refuses to open any process."""
        self._options = options
        self._retired: list[ProcessExecutor] = []
        self._starting: set[Supervisor] = set()
        self._is_closed = False

    def open(self, key: LaneKey, version: Version) -> tuple[ProcessExecutor, bool]:
        """Start a process. Return an executor for the version, and True if its requests can be batched.

        Raises:
            ModelRefused: the process cannot be started; the sentence says why.
        """
        options = self._options
        if options is None:
            raise ModelRefused(f"{version.key} wants a process of its own, which this gateway does not start.")
        supervisor = Supervisor(version.key, options, _SHADOW_NICE if key.is_shadow else 0, key.seen)
        self._starting.add(supervisor)
        try:
            if self._is_closed:
                supervisor.close(within_s=0.0)
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

    def retire(self, executor: ProcessExecutor) -> None:
        """End a process once it has been unused for a while.

        Requests that began before the next snapshot still use its lane.
        """
        self._retired.append(executor)

    def end_unused(self) -> None:
        """End the retired processes that have been unused for long enough. This does not wait for their end."""
        if self._options is not None:
            linger_s = self._options.linger_s
            self._retired = [executor for executor in self._retired if not executor.close_if_unused(linger_s)]

    def close(self) -> None:
        """End the retired processes and those that are being started. Wait a little for their end."""
        self._is_closed = True
        for supervisor in self._starting.copy():
            supervisor.close(within_s=0.0)  # the thread that has started it waits for its end
        for executor in self._retired:
            executor.close()
        self._retired = []
