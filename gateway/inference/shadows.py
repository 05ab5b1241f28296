"""Shadows: run an arm's request on another version after the response has been sent, compare, and record.

The request path only puts the request into a queue. About ten milliseconds later, when the response has been written,
the event loop hands the queued requests to the shadow's own lane. The outcomes are queued again, and are compared and
recorded a little at a time. A shadow that is slower than its share of the traffic holds a bounded number of requests.
What does not fit is dropped and counted, like everything else that a shadow does not get to see.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import structlog

from gateway.errors import TooLate, status_of
from gateway.execution.job import Job
from gateway.inference.call import Call
from gateway.inference.live_table import LiveRoute, LiveShadow
from gateway.inference.recorder import Recorder
from inference_log.record import Comparison, Outcome
from router.draw.assignment import BUCKETS, bucket
from router.plan import Reason
from runtimes.comparison import compare
from runtimes.datatypes import Tensor, total_bytes
from runtimes.errors import InputRefused

_log = structlog.get_logger()

MOST_REQUESTS = 128
"""The most requests that one shadow holds, waiting or running: two full batches. Any more would be late."""
MOST_BYTES = 16 * 1024 * 1024
"""The most bytes of inputs and primary outputs that one shadow holds: as many as a request may have."""
FIRST_ATTEMPT = 100
"""The attempt number of the first shadow. Arms and their fallbacks are numbered from zero."""
LONGEST_DELAY_S = 10.0
"""Longer delays count as this long, so that the sum of a day's squares fits 64 bits."""

# Requests of this period go to the shadow together: one frame and one wake-up for many requests cost the primaries a
# fraction of what one for each request would cost.
_TOGETHER_S = 0.01
_WRITTEN_S = 0.001  # by then the response has been written: it is written at the end of the loop's turn
_AT_ONCE_S = 0.0002  # the longest time in one turn of the loop


class ShadowMetrics(Protocol):
    """Counts shadow attempts. Called on the event loop, so it may only note them."""

    def count_shadow(self, route: str, shadow: str, version: str, status: int, duration_s: float) -> None:
        """Count one attempt. `duration_s` runs from the offer until the lane settled it."""


class _Load:
    """How much one shadow holds."""

    __slots__ = ("requests", "size_bytes")

    def __init__(self) -> None:
        self.requests = 0
        self.size_bytes = 0


@dataclass(slots=True, eq=False)
class _Offered:
    """A request for a shadow, with the primary's outputs, with which the shadow's are compared."""

    live: LiveRoute
    index: int
    call: Call
    primary: int
    tensors: Sequence[Tensor]
    model_s: float
    offered_s: float
    size_bytes: int
    load: _Load

    @property
    def shadow(self) -> LiveShadow:
        return self.live.shadows[self.index]


class Shadows:
    """One per replica. `dropped` counts by route, shadow and reason. It only grows, and any thread may read it."""

    def __init__(self, recorder: Recorder, metrics: ShadowMetrics) -> None:
        self.dropped: dict[tuple[str, str, str], int] = {}
        self._recorder = recorder
        self._metrics = metrics
        self._loads: dict[tuple[str, str], _Load] = {}
        self._offered: deque[_Offered] = deque()
        self._settled: deque[tuple[_Offered, Job, float]] = deque()
        self._is_scheduled = False
        self._is_closing = False

    def offer(self, live: LiveRoute, call: Call, primary: int, tensors: Sequence[Tensor], model_s: float) -> None:
        """Queue a drawn request for the route's shadows, if it is sampled and there is room.

        The arm of index `primary` has answered it, in `model_s` seconds of its model's time. Runs on the request path.
        """
        for index, live_shadow in enumerate(live.shadows):
            shadow = live_shadow.shadow
            if primary not in shadow.primaries:
                continue
            if shadow.sample_slots < BUCKETS and (
                bucket(shadow.seed_state, call.unit or call.decision_id) >= shadow.sample_slots
            ):
                continue
            load = self._loads.get((live.route.name, shadow.name))
            if load is None:
                load = self._loads[live.route.name, shadow.name] = _Load()
            size_bytes = total_bytes(call.inputs.values()) + total_bytes(tensors)
            if size_bytes > MOST_BYTES:
                self._drop(live, index, "too_large")
            elif load.requests >= MOST_REQUESTS or load.size_bytes + size_bytes > MOST_BYTES:
                self._drop(live, index, "full")
            else:
                load.requests += 1
                load.size_bytes += size_bytes
                now_s = time.perf_counter()
                offered = _Offered(live, index, call, primary, tensors, model_s, now_s, size_bytes, load)
                self._offered.append(offered)
                self._schedule(_TOGETHER_S)

    def close(self) -> None:
        """Drop what waits, when the replica ends.

        A request that runs is recorded if the shadow answers before the event loop ends. A shadow does not fail because
        its process is ended then.
        """
        self._is_closing = True
        while self._offered:
            self._release_and_drop(self._offered.popleft(), "closing")

    def _schedule(self, after_s: float) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_later(after_s, self._pump)

    def _pump(self) -> None:
        """Work for `_AT_ONCE_S`, then let other work of the loop go on."""
        self._is_scheduled = False
        started_s = now_s = time.perf_counter()
        try:
            while now_s - started_s < _AT_ONCE_S and self._work(now_s):
                now_s = time.perf_counter()
        except Exception:  # noqa: BLE001  # it concerns one request of one shadow; go on with the others
            _log.exception("gateway.shadows.failed")
        if self._settled:
            self._schedule(0.0)
        elif self._offered:
            self._schedule(_TOGETHER_S)

    def _work(self, now_s: float) -> bool:
        """Settle or submit one request. Return False if there was none."""
        if self._settled:
            self._settle(*self._settled.popleft())
        elif self._offered and now_s - self._offered[0].offered_s >= _WRITTEN_S:
            self._submit(self._offered.popleft())
        else:
            return False
        return True

    def _submit(self, offered: _Offered) -> None:
        """Submit a request to the shadow's lane."""
        lane, call = offered.shadow.lane, offered.call
        deadline_s = offered.offered_s + offered.shadow.shadow.deadline_s
        if not lane.breaker.admits(time.perf_counter()):
            self._release_and_drop(offered, "breaker")
            return
        try:
            job = lane.submit(call.inputs, call.batch_size, deadline_s, route=offered.live.route.name)
        except TooLate:
            lane.breaker.not_tried(time.perf_counter())
            self._release_and_drop(offered, "late")
            return
        job.call_when_settled(partial(self._put_back, offered, job))

    def _put_back(self, offered: _Offered, job: Job) -> None:
        """Queue the outcome. A lane calls this while it hands out a batch's results, so compare it later."""
        self._settled.append((offered, job, time.perf_counter()))
        self._schedule(0.0)

    def _settle(self, offered: _Offered, job: Job, settled_s: float) -> None:
        """Compare and record the outcome of one request."""
        self._release(offered)
        live_shadow = offered.shadow
        breaker, shadow = live_shadow.lane.breaker, live_shadow.shadow
        tensors: Sequence[Tensor] = ()
        comparison: Comparison | None = None
        status, code = 200, ""
        outcome: Outcome = "ok"
        try:
            tensors = job.result()
        except Exception as error:  # noqa: BLE001  # recorded, whatever it is
            if self._is_closing:
                self._drop(offered.live, offered.index, "closing")
                return
            status, code = status_of(error).http, type(error).__name__
            outcome = "timeout" if isinstance(error, TooLate) else "error"
            if isinstance(error, InputRefused):  # the model runs; it refuses these values
                breaker.succeeded()
            else:
                breaker.failed(settled_s)
        else:
            breaker.succeeded()
            comparison = _compared(offered, tensors, job.model_s)
        latency_s = settled_s - offered.offered_s
        self._recorder.record(  # the row of the primary, with the same decision id, holds the inputs
            live_shadow.contexts[offered.primary],
            offered.call,
            attempt=FIRST_ATTEMPT + offered.index,
            reason=Reason.SHADOW,
            propensity=None,
            status=status,
            outcome=outcome,
            error_code=code,
            latency_s=latency_s,
            model_s=job.model_s,
            queue_s=job.queue_s,
            outputs=tensors,
            logged_outputs=live_shadow.logged_outputs,
            rules=live_shadow.rules,
            comparison=comparison,
        )
        self._metrics.count_shadow(offered.live.route.name, shadow.name, shadow.version, status, latency_s)

    def _release_and_drop(self, offered: _Offered, reason: str) -> None:
        self._release(offered)
        self._drop(offered.live, offered.index, reason)

    def _release(self, offered: _Offered) -> None:
        offered.load.requests -= 1
        offered.load.size_bytes -= offered.size_bytes

    def _drop(self, live: LiveRoute, index: int, reason: str) -> None:
        key = live.route.name, live.shadows[index].shadow.name, reason
        self.dropped[key] = self.dropped.get(key, 0) + 1


def _compared(offered: _Offered, tensors: Sequence[Tensor], model_s: float) -> Comparison:
    shadow = offered.shadow
    pairs, flips, difference, difference_squared = compare(
        offered.tensors, tensors, shadow.label, shadow.prediction, offered.call.batch_size, shadow.tolerance
    )
    delay_s = max(-LONGEST_DELAY_S, min(LONGEST_DELAY_S, model_s - offered.model_s))
    return Comparison(pairs, flips, difference, difference_squared, int(delay_s * 1e6))
