"""The lane of an arm without a model. It answers a request at once: there is no queue, no batch and no thread."""

import time

from gateway.errors import TooLate
from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.execution.in_replica import ReplicaExecutor
from gateway.execution.job import Job
from gateway.execution.lane import Lane, LaneKey
from gateway.execution.lane_counts import count_run
from gateway.execution.latency import LatencyModel
from runtimes.batching import Inputs
from runtimes.constant.runtime import ConstantRuntime

_INLINE_BELOW_S = 1.0
"""So that whoever asks the executor hears that it never needs a thread."""


class ConstantLane(Lane):
    """See `Lane`."""

    def __init__(self, key: LaneKey, runtime: ConstantRuntime, end_of_turn: EndOfTurn) -> None:
        executor = ReplicaExecutor(
            runtime, LatencyModel(0.0), threads=1, inline_below_s=_INLINE_BELOW_S, max_rows=1, row_by_row=False
        )
        because = runtime.unbatched_because
        super().__init__(
            key, executor, end_of_turn, is_batching=False, unbatched_because=because, has_one_shape_key=True
        )
        self._runtime = runtime

    def submit(
        self,
        inputs: Inputs,
        rows: int,
        deadline_s: float | None = None,
        wait_s: float = 0.0,  # noqa: ARG002  # no request waits for others
        *,
        route: str = "",
        probe: bool = False,
    ) -> Job:
        """Return a request that is answered.

        Raises:
            TooLate: its deadline has passed already.
        """
        now_s = time.perf_counter()
        if deadline_s is not None and deadline_s <= now_s:
            raise TooLate("The deadline has passed before the arm could answer.", is_not_started=True)
        job = Job(inputs, rows, deadline_s, now_s, self.paces.of(route), probe=probe)
        job.began_s = now_s
        answer = self._runtime.answer(rows)
        count_run(self.statistics, (job,), (answer,), started_s=now_s, duration_s=0.0, now_s=now_s)
        job.succeed(answer)
        return job
