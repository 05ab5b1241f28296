"""Runs batches in a Serve application of the version's own.

Batches are formed before the hop, so one hop serves many requests. As many batches are under way as keep the
application's processes busy. The other requests wait in the lane, where deadlines still count.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Protocol

import structlog

from gateway.execution.executor import Done, Executor
from gateway.execution.latency import LatencyModel
from registry_sync.version import Version, VersionKey
from runtimes.batching import Inputs, RequestResult
from runtimes.errors import ModelFailed
from runtimes.manifest import Example, Signature

_log = structlog.get_logger()

_BATCHES_PER_PROCESS = 2  # one that runs, one that is on its way

Remote = Callable[[Inputs, Sequence[int], float | None], Awaitable[Sequence[RequestResult]]]
"""Runs merged requests in another process, unless it is too late.

The latest time is of the wall clock, in seconds since the epoch.
"""

Wanted = tuple[VersionKey, Signature | None]
"""A version, and the signature behind which it runs, if that is not its own. Each pair is another application."""


class Dedicated(Protocol):
    """Gives versions applications of their own. One thread at a time calls its methods, which may block."""

    def open(self, version: Version) -> tuple[Executor, str]:
        """Return an executor for the version once its application responds, and why requests are never merged.

        Raises:
            StillLoading: the application has not started yet.
            ModelRefused: it cannot be started; the sentence says why.
        """

    def retain(self, versions: Collection[Wanted], *, is_all: bool) -> None:
        """End, after a while, all other applications: of other versions, or of one behind another signature.

        `is_all` says that no route can need any other version. Then applications that other replicas have left behind
        are ended too.
        """


class DedicatedExecutor:
    """See `gateway.execution.executor.Executor`."""

    def __init__(
        self,
        remote: Remote,
        latency: LatencyModel,
        *,
        max_rows: int,
        processes: int,
        examples: Mapping[str, Example] | None = None,
    ) -> None:
        self.latency = latency
        self.examples = examples or {}
        self._remote = remote
        self._max_rows = max_rows
        self._most_running = processes * _BATCHES_PER_PROCESS
        self._running = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def has_room(self, rows: int, inputs: Inputs) -> bool:  # noqa: ARG002  # the Protocol's signature
        """See `Executor`."""
        return self._running < self._most_running

    def batch_limit(self, rows: int, inputs: Inputs) -> int:  # noqa: ARG002  # the Protocol's signature
        """See `Executor`."""
        return self._max_rows

    def start(self, inputs: Inputs, rows: Sequence[int], until_s: float | None, done: Done) -> None:
        """See `Executor`."""
        self._running += 1
        task = asyncio.get_running_loop().create_task(self._run(inputs, rows, until_s, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, inputs: Inputs, rows: Sequence[int], until_s: float | None, done: Done) -> None:
        started_s = time.perf_counter()
        outcomes: Sequence[RequestResult]
        until_wall_s = None if until_s is None else time.time() + until_s - started_s
        try:
            outcomes = await self._remote(inputs, rows, until_wall_s)
        except Exception as error:  # noqa: BLE001  # Ray raises many kinds: the process died, is full, or is gone
            _log.warning("gateway.dedicated.failed", error=repr(error))
            outcomes = [ModelFailed("The model's own application did not answer; its log says why.")] * len(rows)
        finally:
            self._running -= 1
        duration_s = time.perf_counter() - started_s
        self.latency.observe(sum(rows), duration_s)
        done(outcomes, duration_s)
