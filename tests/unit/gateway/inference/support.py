"""A predictor with a log and an event loop of its own, and a runtime that does what a test wants."""

import asyncio
import threading
import time
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
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


class Fake:
    """A runtime that answers its own number; it may raise, be held up until `gate` is set, or both."""

    def __init__(
        self, signature: Signature, number: int, raises: BaseException | None = None, *, held: bool = False
    ) -> None:
        self.signature = signature
        self.number, self.raises, self.runs = number, raises, 0
        self.started, self.gate = threading.Event(), threading.Event()
        self.ran_in: list[threading.Thread] = []
        if not held:
            self.gate.set()

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> Sequence[Any]:  # noqa: ARG002  # the Protocol's
        """See `runtimes.runtime.Runtime.run`."""
        self.runs += 1
        self.ran_in.append(threading.current_thread())
        self.started.set()
        self.gate.wait(5)
        if self.raises is not None:
            raise self.raises
        rows = len(inputs["X"])
        return [np.full(rows, self.number), np.full((rows, 1), self.number, np.float32)]


class Offered(NamedTuple):
    """What shadows were offered."""

    route: str
    decision_id: str
    primary: int
    tensors: list[Any]
    model_s: float


class NotedShadows:
    """Shadows that only note what they are offered."""

    def __init__(self) -> None:
        self.offered: list[Offered] = []

    def offer(self, live: LiveRoute, call: Call, primary: int, tensors: Sequence[Tensor], model_s: float) -> None:
        """See `gateway.inference.shadows.Shadows.offer`."""
        said = [tensor.tolist() for tensor in tensors]
        self.offered.append(Offered(live.route.name, call.decision_id, primary, said, model_s))


class Bench:
    """What it predicts, it predicts on one event loop."""

    def __init__(self, folder: Path) -> None:
        self.writer = LogWriter(folder, "w")
        self.shadows = NotedShadows()
        self.predictor = Predictor(Recorder(self.writer), Metrics(folder / "metrics", 0), self.shadows)
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What `work` returns, in a task."""
        return self._runner.run(work)

    def predict(self, live: LiveTable, **more: Any) -> Answer:
        """One prediction, alone."""
        answer: Answer = self.run(self.ask(live, **more))
        return answer

    async def ask(self, live: LiveTable, **more: Any) -> Answer:
        """One prediction among others."""
        return await run_in_task(self.predictor.predict(live.routes["r"], call(**more)))

    def records(self) -> list[Record]:
        """What has been recorded, as it stands in the segment."""
        path = self.writer.active_path
        segment = read_segment(path.read_bytes()) if path else None
        return segment.records if segment else []

    def rows(self) -> list[dict[str, Any]]:
        """What has been recorded, in order."""
        path = self.writer.active_path
        segment = read_segment(path.read_bytes()) if path else None
        rows = [row for table in partition_rows(segment).values() for row in table.to_pylist()] if segment else []
        return sorted(rows, key=lambda row: row["writer_seq"])

    def close(self) -> None:
        """Ends the event loop."""
        self._runner.close()


def call(
    decision_id: str = "d",
    within_s: float | None = None,
    started_s: float | None = None,
    value: float = 1,
    **more: Any,
) -> Call:
    """A request of one instance, begun now, to be answered `within_s`."""
    started_s = time.perf_counter() if started_s is None else started_s
    deadline_s = None if within_s is None else started_s + within_s
    inputs = {"X": np.array([[value, 2]], np.float32)}
    return Call(decision_id, started_s, inputs, 1, deadline_s=deadline_s, **more)
