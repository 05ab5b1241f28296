"""The processes of a replica's lanes: started, and ended once they are unused."""

from gateway.execution.lane import LaneKey
from gateway.execution.latency import LatencyModel, measured_times
from gateway.execution.process.executor import ProcessExecutor
from gateway.execution.process.model import BlockingModel, ProcessOptions
from gateway.execution.process.supervisor import Supervisor
from registry_sync.memory_budget import MemoryBudget
from registry_sync.version import Version
from runtimes.errors import ModelRefused, StillLoading

_SHADOW_NICE = 10


class ProcessPool:
    """All processes of one replica. Several threads may call `open`, which blocks; one thread calls the rest."""

    def __init__(self, options: ProcessOptions | None, budget: MemoryBudget) -> None:
        """Build an empty pool. Without `options` it refuses to open any process. Each takes memory of the budget."""
        self._options = options
        self._budget = budget
        self._retired: list[ProcessExecutor] = []
        self._starting: set[Supervisor] = set()
        self._is_closed = False

    def open(self, key: LaneKey, version: Version) -> tuple[ProcessExecutor, str]:
        """Start a process. Return an executor for the version, and why its requests are never merged, or an empty text.

        Raises:
            StillLoading: it waits for memory.
            ModelRefused: the process cannot be started; the sentence says why.
        """
        options = self._options
        if options is None:
            raise ModelRefused(f"{version.key} wants a process of its own, which this gateway does not start.")
        tried = version.tried
        because = None if tried is None else tried.unbatched_because
        nice = _SHADOW_NICE if key.is_shadow else 0
        supervisor = Supervisor(version.key, options, nice, seen=key.seen, unbatched_because=because)
        try:
            self._budget.take(supervisor, 0 if tried is None else tried.process_bytes)
        except StillLoading as error:
            raise StillLoading(f"{version.key} {error}") from None
        except ModelRefused as error:
            raise ModelRefused(f"{version.key}: {error}") from None
        self._starting.add(supervisor)
        try:
            if self._is_closed:
                supervisor.close(within_s=0.0)
            model = BlockingModel(supervisor.open(), version.manifest.signature)
            latency = LatencyModel(*measured_times(model, version.manifest.max_batch))
        except BaseException:
            supervisor.close()
            self._budget.give_back(supervisor)
            raise
        finally:
            self._starting.discard(supervisor)
        max_rows = version.manifest.max_batch
        executor = ProcessExecutor(supervisor, latency, max_rows=max_rows, hang_after_s=options.hang_after_s)
        return executor, supervisor.unbatched_because or ""

    def retire(self, executor: ProcessExecutor) -> None:
        """End a process once it has been unused for a while.

        Requests that began before the next snapshot still use its lane.
        """
        self._retired.append(executor)

    def end_unused(self) -> None:
        """End the retired processes that have been unused for long enough. This does not wait for their end."""
        if self._options is not None:
            for executor in self._retired.copy():
                if executor.close_if_unused(self._options.linger_s):
                    self._retired.remove(executor)
                    self._budget.give_back(executor.supervisor)

    def discard(self, executor: ProcessExecutor) -> None:
        """End a process that is not wanted any more. This does not wait for its end."""
        executor.end()
        self._budget.give_back(executor.supervisor)

    def close(self) -> None:
        """End the retired processes and those that are being started. Wait a little for their end."""
        self._is_closed = True
        for supervisor in self._starting.copy():
            supervisor.close(within_s=0.0)  # the thread that has started it waits for its end
        for executor in self._retired:
            executor.close()
        self._retired = []
