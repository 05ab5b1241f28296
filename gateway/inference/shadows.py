"""Lets shadows answer what an arm has answered, after the caller has his answer, and compares. Acts, on the event loop.

The request path only puts a request aside. A moment later, when the answer has been written, it is handed to the
shadow's own lane; what that gives is compared and recorded, again apart from whoever brought it, and never for long
at a time. A shadow that is slower than its share of the requests has at most so many of them in hand: the others are
dropped and counted, as is whatever else it does not get to see.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import structlog

from gateway.errors import TooLate, status_of
from gateway.execution.job import Job
from gateway.inference.live_table import LiveRoute, LiveShadow
from inference_log.record import Comparison, Outcome, Record
from inference_log.writer import LogWriter
from router.draw.assignment import BUCKETS, bucket
from router.plan import Reason
from runtimes.comparison import compare
from runtimes.datatypes import BYTES, Tensor, tensor_bytes
from runtimes.errors import InputRefused

if TYPE_CHECKING:  # whoever predicts offers to shadows, so importing him here would go in a circle
    from gateway.inference.predictor import Call

_log = structlog.get_logger()

MOST_REQUESTS = 128
"""What a shadow has in hand at most, waiting or running: two full batches. What waits behind more is late anyway."""
MOST_BYTES = 16 * 1024 * 1024
"""Of their inputs and of the answers they are compared with: what one request may have (`max_body_bytes`)."""
FIRST_ATTEMPT = 100
"""The number of the first shadow's attempt; arms and their fallbacks are counted from zero."""
LONGEST_DELAY_S = 10.0
"""A delay counts as this at most, so that the sum of a day's squares fits 64 bits."""

# What comes within so long goes to the shadow together: a frame, a wake-up and a look at the outcome for many requests
# cost the primaries a fraction of what one for each would.
_TOGETHER_S = 0.01
_WRITTEN_S = 0.001  # the answer is written at the end of the loop's turn
_AT_ONCE_S = 0.0002  # of a turn, before the loop looks after others


class ShadowMetrics(Protocol):
    """What is told of shadows, request by request; on the event loop, so it may only be noted."""

    def count_shadow(self, route: str, shadow: str, version: str, status: int, duration_s: float) -> None:
        """A shadow's attempt, from when it was offered until it was settled."""


class _Hand:
    """What a shadow has in hand."""

    __slots__ = ("requests", "size_bytes")

    def __init__(self) -> None:
        self.requests = 0
        self.size_bytes = 0


@dataclass(slots=True, eq=False)
class _Offered:
    """A request for a shadow, with the answer that its own is compared with."""

    live: LiveRoute
    index: int
    call: "Call"
    primary: int
    tensors: Sequence[Tensor]
    model_s: float
    offered_s: float
    size_bytes: int
    hand: _Hand

    @property
    def shadow(self) -> LiveShadow:
        return self.live.shadows[self.index]


class Shadows:
    """One per replica. `dropped` counts by route, shadow and reason; it only grows, and any thread may read it."""

    def __init__(self, log: LogWriter, metrics: ShadowMetrics) -> None:
        self.dropped: dict[tuple[str, str, str], int] = {}
        self._log = log
        self._metrics = metrics
        self._hands: dict[tuple[str, str], _Hand] = {}
        self._offered: deque[_Offered] = deque()
        self._settled: deque[tuple[_Offered, Job, float]] = deque()
        self._is_scheduled = False
        self._is_closing = False

    def offer(self, live: LiveRoute, call: "Call", primary: int, tensors: Sequence[Tensor], model_s: float) -> None:
        """A drawn request that was answered by the arm of index `primary`, in `model_s` of its model's time.

        On the request path: whoever is sampled is put aside, if there is room.
        """
        for index, live_shadow in enumerate(live.shadows):
            shadow = live_shadow.shadow
            if primary not in shadow.primaries:
                continue
            if shadow.sample_slots < BUCKETS and (
                bucket(shadow.seed_state, call.unit or call.decision_id) >= shadow.sample_slots
            ):
                continue
            hand = self._hands.get((live.route.name, shadow.name))
            if hand is None:
                hand = self._hands[live.route.name, shadow.name] = _Hand()
            size_bytes = _size_bytes(call.inputs.values()) + _size_bytes(tensors)
            if size_bytes > MOST_BYTES:
                self._drop(live, index, "too_large")
            elif hand.requests >= MOST_REQUESTS or hand.size_bytes + size_bytes > MOST_BYTES:
                self._drop(live, index, "full")
            else:
                hand.requests += 1
                hand.size_bytes += size_bytes
                now_s = time.perf_counter()
                offered = _Offered(live, index, call, primary, tensors, model_s, now_s, size_bytes, hand)
                self._offered.append(offered)
                self._schedule(_TOGETHER_S)

    def close(self) -> None:
        """Drops what waits, at the end of the replica. What runs is recorded if it is answered before the event loop
        ends; that its process is ended then is no failure of the shadow.
        """
        self._is_closing = True
        while self._offered:
            self._let_go(self._offered.popleft(), "closing")

    def _schedule(self, after_s: float) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_later(after_s, self._pump)

    def _pump(self) -> None:
        """Works for a moment, then lets others."""
        self._is_scheduled = False
        started_s = now_s = time.perf_counter()
        try:
            while now_s - started_s < _AT_ONCE_S and self._work(now_s):
                now_s = time.perf_counter()
        except Exception:  # noqa: BLE001  # one request of one shadow; the others do not suffer for it
            _log.exception("gateway.shadows.failed")
        if self._settled:
            self._schedule(0.0)
        elif self._offered:
            self._schedule(_TOGETHER_S)

    def _work(self, now_s: float) -> bool:
        """Does one thing; whether there was one to do."""
        if self._settled:
            self._settle(*self._settled.popleft())
        elif self._offered and now_s - self._offered[0].offered_s >= _WRITTEN_S:
            self._ask(self._offered.popleft())
        else:
            return False
        return True

    def _ask(self, offered: _Offered) -> None:
        """Hands a request to the shadow's lane."""
        lane, call = offered.shadow.lane, offered.call
        deadline_s = offered.offered_s + offered.shadow.shadow.deadline_s
        if not lane.breaker.admits(time.perf_counter()):
            self._let_go(offered, "breaker")
            return
        try:
            job = lane.submit(call.inputs, call.batch_size, deadline_s)
        except TooLate:
            lane.breaker.not_tried(time.perf_counter())
            self._let_go(offered, "late")
            return
        job.call_when_settled(partial(self._put_back, offered, job))

    def _put_back(self, offered: _Offered, job: Job) -> None:
        """Called by whoever settles a job, who has others to settle: what it means is looked at a little later."""
        self._settled.append((offered, job, time.perf_counter()))
        self._schedule(0.0)

    def _settle(self, offered: _Offered, job: Job, settled_s: float) -> None:
        """Compares and records what came of it."""
        self._release(offered)
        live_shadow = offered.shadow
        breaker, shadow = live_shadow.lane.breaker, live_shadow.shadow
        tensors: Sequence[Tensor] = ()
        comparison: Comparison | None = None
        status, code = 200, ""
        outcome: Outcome = "ok"
        try:
            tensors = job.result()
        except Exception as error:  # noqa: BLE001  # recorded whatever it is
            if self._is_closing:
                self._drop(offered.live, offered.index, "closing")
                return
            status, code = status_of(error).http, type(error).__name__
            outcome = "timeout" if isinstance(error, TooLate) else "error"
            if isinstance(error, InputRefused):  # it has just answered other values
                breaker.succeeded()
            else:
                breaker.failed(settled_s)
        else:
            breaker.succeeded()
            comparison = _compared(offered, tensors, job.model_s)
        latency_s = settled_s - offered.offered_s
        self._record(offered, job.model_s, latency_s, status, outcome, code, _kept(live_shadow, tensors), comparison)
        self._metrics.count_shadow(offered.live.route.name, shadow.name, shadow.version, status, latency_s)

    def _record(
        self,
        offered: _Offered,
        model_s: float,
        latency_s: float,
        status: int,
        outcome: Outcome,
        error_code: str,
        outputs: tuple[bytes, ...],
        comparison: Comparison | None,
    ) -> None:
        """One row, paired with the primary's by the decision id. The inputs stand in that one; here is their answer."""
        call = offered.call
        event_us = time.time_ns() // 1000
        self._log.append(
            offered.shadow.contexts[offered.primary],
            lambda number, writer_seq: Record(
                number,
                writer_seq,
                call.decision_id,
                FIRST_ATTEMPT + offered.index,
                event_us,
                Reason.SHADOW,
                None,
                call.unit_hash,
                status,
                outcome,
                error_code,
                int(latency_s * 1e6),
                int(model_s * 1e6),
                call.batch_size,
                call.request_id,
                call.trace_id,
                (),
                outputs,
                comparison,
            ),
        )

    def _let_go(self, offered: _Offered, reason: str) -> None:
        self._release(offered)
        self._drop(offered.live, offered.index, reason)

    def _release(self, offered: _Offered) -> None:
        offered.hand.requests -= 1
        offered.hand.size_bytes -= offered.size_bytes

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


def _kept(shadow: LiveShadow, tensors: Sequence[Tensor]) -> tuple[bytes, ...]:
    """The outputs' bytes as far as the log keeps them; the others leave their place empty."""
    return tuple(
        [tensor_bytes(tensor) if index in shadow.logged_outputs else b"" for index, tensor in enumerate(tensors)]
    )


def _size_bytes(tensors: Iterable[Tensor]) -> int:
    """What they take, but for the objects that strings are."""
    return sum(
        [sum(map(len, tensor.ravel().tolist())) if tensor.dtype == BYTES else tensor.nbytes for tensor in tensors]
    )
