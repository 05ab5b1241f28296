"""A predictor with a log and an event loop of its own, in real or simulated time, and a runtime that obeys the test."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import uvloop

from gateway.eventloop.driver import run_in_task
from gateway.inference.call import Answer, Call
from gateway.inference.live_table import LiveRoute, LiveTable
from gateway.inference.predictor import Predictor
from gateway.inference.recorder import Recorder
from gateway.telemetry.metrics import Metrics
from inference_log.record import Record
from inference_log.rows import partition_rows
from inference_log.segment import read_segment
from inference_log.writer import LogWriter
from runtimes.datatypes import Tensor
from runtimes.manifest import Signature
from tests.support.polling import PATIENCE_S
from tests.unit.gateway.execution.support import SimulatedLoop


class Fake:
    """A runtime that answers its own number. It may raise, wait until `gate` is set, or both.

    `held` is how many threads wait at the gate.
    """

    def __init__(
        self, signature: Signature, number: int, raises: BaseException | None = None, *, held: bool = False
    ) -> None:
        self.unbatched_because = ""
        self.signature = signature
        self.number, self.raises, self.runs = number, raises, 0
        self.started, self.gate = threading.Event(), threading.Event()
        self.ran_in: list[threading.Thread] = []
        self.held = 0
        self._lock = threading.Lock()
        if not held:
            self.gate.set()

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> Sequence[Any]:  # noqa: ARG002  # the Protocol's
        """See `runtimes.runtime.Runtime.run`."""
        self.runs += 1
        self.ran_in.append(threading.current_thread())
        self.started.set()
        if not self.gate.is_set():
            self._wait()
        if self.raises is not None:
            raise self.raises
        rows = len(inputs["X"])
        return [np.full(rows, self.number), np.full((rows, 1), self.number, np.float32)]

    def _wait(self) -> None:
        with self._lock:
            self.held += 1
        self.gate.wait(PATIENCE_S)
        with self._lock:
            self.held -= 1


class Offered(NamedTuple):
    """A request that shadows were offered."""

    route: str
    decision_id: str
    primary: int
    tensors: list[Any]
    model_s: float


class NotedShadows:
    """Shadows that only note the requests that they are offered."""

    def __init__(self) -> None:
        self.offered: list[Offered] = []

    def offer(self, live: LiveRoute, call: Call, primary: int, tensors: Sequence[Tensor], model_s: float) -> None:
        """See `gateway.inference.shadows.Shadows.offer`."""
        said = [tensor.tolist() for tensor in tensors]
        self.offered.append(Offered(live.route.name, call.decision_id, primary, said, model_s))


class Bench:
    """One predictor, which runs on one event loop."""

    def __init__(
        self, folder: Path, loop_factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    ) -> None:
        self.writer = LogWriter(folder, "w")
        self.shadows = NotedShadows()
        self.predictor = Predictor(Recorder(self.writer), Metrics(folder / "metrics", "0"), self.shadows)
        self._runner = asyncio.Runner(loop_factory=loop_factory)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run `work` in a task. Return its result."""
        return self._runner.run(work)

    def predict(self, live: LiveTable, **more: Any) -> Answer:
        """Make one prediction, alone."""
        answer: Answer = self.run(self.ask(live, **more))
        return answer

    async def ask(self, live: LiveTable, **more: Any) -> Answer:
        """Make one prediction among others."""
        return await run_in_task(self.predictor.predict(live.routes["r"], call(**more)))

    def records(self) -> list[Record]:
        """Return the records as they stand in the segment."""
        path = self.writer.active_path
        segment = read_segment(path.read_bytes()) if path else None
        return segment.records if segment else []

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the records, in order."""
        path = self.writer.active_path
        segment = read_segment(path.read_bytes()) if path else None
        rows = [row for table in partition_rows(segment).values() for row in table.to_pylist()] if segment else []
        return sorted(rows, key=lambda row: row["writer_seq"])

    def close(self) -> None:
        """End the event loop."""
        self._runner.close()


class SimulatedBench(Bench):
    """A bench in simulated time. Nothing takes any, unless a model is held: then the clock jumps to the next deadline.

    Models run in real threads all the same.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(folder, SimulatedLoop)
        self._lives: list[LiveTable] = []
        loop = self._runner.get_loop()
        loop.is_busy = self._is_busy
        monkeypatch.setattr("time.perf_counter", loop.time)

    async def ask(self, live: LiveTable, **more: Any) -> Answer:
        """See `Bench.ask`."""
        self._lives.append(live)
        return await super().ask(live, **more)

    def _is_busy(self) -> bool:
        """Return True while a thread runs a model that is not held."""
        executors = {arm.lane.executor for live in self._lives for arm in live.routes["r"].arms}
        return sum(each._running for each in executors) > sum(each._runtime.held for each in executors)


def call(
    decision_id: str = "d",
    within_s: float | None = None,
    started_s: float | None = None,
    value: float = 1,
    **more: Any,
) -> Call:
    """Return a request of one instance, begun now, to be answered `within_s`."""
    started_s = time.perf_counter() if started_s is None else started_s
    deadline_s = None if within_s is None else started_s + within_s
    inputs = {"X": np.array([[value, 2]], np.float32)}
    return Call(decision_id, started_s, inputs, 1, deadline_s=deadline_s, **more)
