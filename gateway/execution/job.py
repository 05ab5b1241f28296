"""One request in the queue of a lane."""

import asyncio
from collections.abc import Sequence

from gateway.eventloop.driver import Pending
from gateway.execution.paces import Pace
from runtimes.batching import Inputs
from runtimes.datatypes import Tensor


class Job(Pending[Sequence[Tensor]]):
    """A request to one version; await it for the outputs. `deadline_s` and `queued_s` are of `time.perf_counter`.

    `pace` is the pace of its route. With `must_run` it was due to be tried, so no estimate refuses it any more.
    `began_s` is when its batch began, or None.
    `worked_before` is `Work.until` when it began to wait; None if it does not wait, because it runs or is settled.
    """

    __slots__ = (
        "began_s",
        "deadline_s",
        "inputs",
        "model_s",
        "must_run",
        "pace",
        "probe",
        "queued_s",
        "rows",
        "timer",
        "worked_before",
    )

    def __init__(
        self, inputs: Inputs, rows: int, deadline_s: float | None, queued_s: float, pace: Pace, *, probe: bool = False
    ) -> None:
        super().__init__()
        self.pace = pace
        self.must_run = False
        self.probe = probe
        self.inputs = inputs
        self.rows = rows
        self.deadline_s = deadline_s
        self.queued_s = queued_s
        self.model_s = 0.0
        self.began_s: float | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.worked_before: tuple[float, float] | None = None

    @property
    def queue_s(self) -> float | None:
        """How long it waited for its batch to begin, in seconds; None if none began."""
        return None if self.began_s is None else self.began_s - self.queued_s

    def abandon(self) -> None:
        """See `Pending.abandon`.

        Its timer is cancelled: it would keep the inputs in memory until the deadline, which may be an hour away.
        """
        super().abandon()
        if self.timer is not None:
            self.timer.cancel()
