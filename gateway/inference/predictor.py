"""The one use case behind every protocol: decide, run, fall back, record. Acts.

It knows no protocol: doors decode a request before and encode the answer after.
"""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from gateway.errors import ArmDown, TooLate, status_of
from gateway.execution.breaker import Breaker, BreakerState
from gateway.execution.lane import Job
from gateway.inference.live_table import LiveArm, LiveRoute
from gateway.inference.shadows import Shadows
from gateway.telemetry.metrics import Metrics
from inference_log.record import CALLERS_DEADLINE, Context, Outcome, Record
from inference_log.writer import LogWriter
from router.plan import Plan, Reason, plan
from runtimes.datatypes import Tensor, tensor_bytes
from runtimes.errors import InputRefused, ModelFailed

_OUTCOME_OF: dict[type[BaseException], Outcome] = {ModelFailed: "error", TooLate: "timeout"}
# What each fallback is left when those before it use their time up: so long, this share, so many of its runs.
_RESERVE_S = 0.005
_RESERVE_SHARE = 0.1
_RESERVE_RUNS = 4.0


class Call(msgspec.Struct, frozen=True):
    """One request, as far as deciding and recording need it. Times are of `time.perf_counter`.

    `deadline_s` is the caller's own, where he has one; the route's counts as well. `headers` are kept for tracing only.
    """

    decision_id: str
    started_s: float
    inputs: Mapping[str, Tensor]
    batch_size: int
    unit: str | None = None
    unit_hash: str | None = None
    forced_arm: str | None = None
    pinned_version: str | None = None
    deadline_s: float | None = None
    request_id: str = ""
    trace_id: str = ""
    headers: Mapping[bytes, bytes] | None = None
    probe: bool = False
    is_targeted: bool = True


class Answer(NamedTuple):
    """What the served arm said. `propensity` is None unless the arm was drawn and answered itself."""

    arm: LiveArm
    tensors: Sequence[Tensor]
    reason: Reason
    propensity: float | None


class Predictor:
    """One per replica."""

    def __init__(self, log: LogWriter, metrics: Metrics, shadows: Shadows) -> None:
        self._log = log
        self._metrics = metrics
        self._shadows = shadows

    async def predict(self, live: LiveRoute, call: Call) -> Answer:
        """Answers one request; every attempt is in the log before this returns.

        To be driven by `gateway.eventloop.driver`.

        Raises:
            UnknownVersion: no arm serves what the call pins or forces.
            InputRefused, ModelFailed, ArmDown, TooLate: the arm, and its fallbacks if it has any, could not answer.
            ClientGone: nobody waits any more.
        """
        route = live.route
        decided = plan(
            route,
            call.decision_id,
            unit=call.unit,
            forced_arm=call.forced_arm,
            pinned_version=call.pinned_version,
            is_targeted=call.is_targeted,
        )
        deadline_s = call.deadline_s
        if route.deadline_s is not None:
            own_s = call.started_s + route.deadline_s
            deadline_s = own_s if deadline_s is None else min(own_s, deadline_s)
        arm = live.arms[decided.primary]
        context, attempt = arm.primary, 0
        blamed: tuple[str, str] | None = None
        while True:
            until_s = deadline_s
            if deadline_s is not None and decided.fallbacks:
                until_s = deadline_s - _reserve_s([live.arms[each] for each in decided.fallbacks], call, deadline_s)
            try:
                tensors, model_s = await self._attempt(live, arm, context, call, decided, attempt, until_s, blamed)
                break
            except (InputRefused, ModelFailed, ArmDown, TooLate) as error:
                if not decided.fallbacks:
                    raise
                if isinstance(error, InputRefused) and decided.propensity is not None:
                    blamed = (arm.arm.name, arm.arm.version)  # unless the fallback refuses these values, too
            following, *others = decided.fallbacks
            decided = Plan(following, tuple(others), Reason.FALLBACK, None)
            arm = live.arms[following]
            context, attempt = arm.fallback, attempt + 1
        if live.shadows and decided.propensity is not None and not call.probe:
            self._shadows.offer(live, call, decided.primary, tensors, model_s)
        return Answer(arm, tensors, decided.reason, decided.propensity)

    def reject(self, live: LiveRoute, call: Call, error: Exception) -> None:
        """Records a request that was refused before any arm was asked."""
        if not call.probe:
            status = status_of(error).http
            self._record(live.rejected, call, "", None, 0, status, "rejected", type(error).__name__, 0.0, (), ())
            self._metrics.count(live.route.name, "", "", status, time.perf_counter() - call.started_s)

    async def _attempt(
        self,
        live: LiveRoute,
        arm: LiveArm,
        context: Context,
        call: Call,
        decided: Plan,
        number: int,
        until_s: float | None,
        blamed: tuple[str, str] | None,
    ) -> tuple[Sequence[Tensor], float]:
        """One arm's try, recorded whatever comes of it: its outputs, and how long the model took (seconds)."""
        job: Job | None = None
        tensors: Sequence[Tensor] = ()
        status, code = 200, ""
        outcome: Outcome = "ok"
        breaker = arm.lane.breaker
        try:
            if not _admits(breaker, call):
                raise ArmDown(f"Arm {arm.arm.name} has failed again and again and is left alone for a moment.")
            job = arm.lane.submit(call.inputs, call.batch_size, until_s, live.route.batch_wait_s, probe=call.probe)
            tensors = await job
            if not call.probe:
                breaker.succeeded()
        except BaseException as error:  # recorded whatever it is: also a caller who left
            status = status_of(error).http
            outcome, code = _OUTCOME_OF.get(type(error), "error"), type(error).__name__
            if isinstance(error, TooLate) and _is_callers_deadline(call, live):
                code = CALLERS_DEADLINE
            if not call.probe:
                _tell(breaker, error, job, live)
            raise
        finally:
            if not call.probe:
                self._record(
                    context,
                    call,
                    decided.reason,
                    decided.propensity,
                    number,
                    status,
                    outcome,
                    code,
                    0.0 if job is None else job.model_s,
                    tuple([tensor_bytes(call.inputs[name]) for name in arm.logged_inputs]),
                    _kept(tensors, arm.logged_outputs),
                    blamed,
                )
                self._metrics.count(
                    live.route.name, arm.arm.name, arm.arm.version, status, time.perf_counter() - call.started_s
                )
        return tensors, job.model_s

    def _record(
        self,
        context: Context,
        call: Call,
        reason: str,
        propensity: float | None,
        attempt: int,
        status: int,
        outcome: Outcome,
        error_code: str,
        model_s: float,
        inputs: tuple[bytes, ...],
        outputs: tuple[bytes, ...],
        blamed: tuple[str, str] | None = None,
    ) -> None:
        event_us = time.time_ns() // 1000
        latency_us = int((time.perf_counter() - call.started_s) * 1e6)
        self._log.append(
            context,
            lambda number, writer_seq: Record(
                number,
                writer_seq,
                call.decision_id,
                attempt,
                event_us,
                reason,
                propensity,
                call.unit_hash,
                status,
                outcome,
                error_code,
                latency_us,
                int(model_s * 1e6),
                call.batch_size,
                call.request_id,
                call.trace_id,
                inputs,
                outputs,
                None,
                blamed,
            ),
        )


def _reserve_s(fallbacks: Sequence[LiveArm], call: Call, deadline_s: float) -> float:
    """What the fallbacks that are left get of the time together: what they need, but half of what there is at most."""
    least_s = max(_RESERVE_S, _RESERVE_SHARE * (deadline_s - call.started_s))
    runs_s = [_RESERVE_RUNS * arm.lane.executor.pace.expected_s(call.batch_size) for arm in fallbacks]
    return min((deadline_s - time.perf_counter()) / 2, sum(max(least_s, each) for each in runs_s))


def _is_callers_deadline(call: Call, live: LiveRoute) -> bool:
    """Whether the caller has given the arm less time than its route does."""
    own_s = live.route.deadline_s
    return call.deadline_s is not None and (own_s is None or call.deadline_s < call.started_s + own_s)


def _admits(breaker: Breaker, call: Call) -> bool:
    """Whether the arm may be asked. The replica's own probe neither opens a breaker nor is its trial."""
    return breaker.phase is BreakerState.CLOSED if call.probe else breaker.admits(time.perf_counter())


def _tell(breaker: Breaker, error: BaseException, job: Job | None, live: LiveRoute) -> None:
    """Tells an arm's breaker what a failure says of the arm."""
    if _is_arms_fault(error, job, live):
        breaker.failed(time.perf_counter())
    elif isinstance(error, InputRefused):  # it has just answered other values
        breaker.succeeded()
    elif isinstance(error, TooLate) and job is None:
        breaker.not_tried(time.perf_counter())


def _is_arms_fault(error: BaseException, job: Job | None, live: LiveRoute) -> bool:
    """Whether an arm's breaker should know: it raised, or had the time that its route gives and let it pass."""
    if isinstance(error, TooLate):
        deadline_s = live.route.deadline_s  # of which an arm with a fallback has a half at least, less the decoding
        return job is not None and deadline_s is not None and time.perf_counter() - job.queued_s > deadline_s / 3
    return isinstance(error, ModelFailed)


def _kept(tensors: Sequence[Tensor], indices: tuple[int, ...]) -> tuple[bytes, ...]:
    """The outputs' bytes as far as the log keeps them; the others leave their place empty."""
    return tuple([tensor_bytes(tensor) if index in indices else b"" for index, tensor in enumerate(tensors)])
