"""The one use case behind every protocol: decide, run, fall back, record. Acts.

It knows no protocol: doors decode a request before and encode the answer after.
"""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from gateway.errors import TooLate, status_of
from gateway.executor import Executor
from gateway.live import LiveArm, LiveRoute
from gateway.metrics import Metrics
from inference_log.record import Context, Outcome, Record
from inference_log.writer import LogWriter
from router.plan import Plan, Reason, plan
from runtimes.datatypes import Tensor
from runtimes.errors import ModelFailed

_OUTCOME_OF: dict[type[BaseException], Outcome] = {ModelFailed: "error", TooLate: "timeout"}
# What a fallback is left at least, and how many times its mean, when the primary uses its time up.
_RESERVE_S = 0.005
_RESERVE_MEANS = 4.0


class Call(msgspec.Struct, frozen=True):
    """One request, as far as deciding and recording need it. `started_s` is of `time.perf_counter`."""

    decision_id: str
    started_s: float
    inputs: Mapping[str, Tensor]
    batch_size: int
    unit: str | None = None
    unit_hash: str | None = None
    forced_arm: str | None = None
    pinned_version: str | None = None
    request_id: str = ""
    trace_id: str = ""
    probe: bool = False


class Answer(NamedTuple):
    """What the served arm said. `propensity` is None unless the arm was drawn and answered itself."""

    arm: LiveArm
    tensors: Sequence[Tensor]
    reason: Reason
    propensity: float | None


class Predictor:
    """One per replica."""

    def __init__(self, executor: Executor, log: LogWriter, metrics: Metrics) -> None:
        self._executor = executor
        self._log = log
        self._metrics = metrics

    def is_quick(self, live: LiveRoute) -> bool:
        """Whether every arm of the route runs on the event loop."""
        return all(self._executor.is_quick(arm) for arm in live.arms)

    async def predict(self, live: LiveRoute, call: Call, *, on_loop: bool = False) -> Answer:
        """Answers one request; every attempt is in the log before this returns. With `on_loop` it never waits.

        Raises:
            UnknownVersion: no arm serves what the call pins or forces.
            ModelFailed, TooLate: the arm, and its fallback if it has one, could not answer.
        """
        route = live.route
        decided = plan(route, call.decision_id, call.unit, call.forced_arm, call.pinned_version)
        arm = live.arms[decided.primary]
        reserve_s = 0.0
        if decided.fallback is not None and route.deadline_s is not None:
            mean_s = live.arms[decided.fallback].pace.mean_s
            reserve_s = min(route.deadline_s / 2, max(_RESERVE_S, _RESERVE_MEANS * mean_s))
        try:
            tensors = await self._attempt(live, arm, arm.primary, call, decided, 0, reserve_s, on_loop)
            return Answer(arm, tensors, decided.reason, decided.propensity)
        except (ModelFailed, TooLate):
            if decided.fallback is None:
                raise
        arm = live.arms[decided.fallback]
        decided = Plan(decided.fallback, None, Reason.FALLBACK, None)
        tensors = await self._attempt(live, arm, arm.fallback, call, decided, 1, 0.0, on_loop)
        return Answer(arm, tensors, Reason.FALLBACK, None)

    def reject(self, live: LiveRoute, call: Call, error: Exception) -> None:
        """Records a request that was refused before any arm was asked."""
        if not call.probe:
            status = status_of(error)
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
        reserve_s: float,
        on_loop: bool,
    ) -> Sequence[Tensor]:
        """One arm's try, recorded whatever comes of it."""
        deadline_s = live.route.deadline_s
        began_s = time.perf_counter()
        budget_s = None if deadline_s is None else call.started_s + deadline_s - reserve_s - began_s
        tensors: Sequence[Tensor] = ()
        status, code = 200, ""
        outcome: Outcome = "ok"
        try:
            if on_loop:
                tensors = self._executor.run_on_loop(arm, call.inputs, budget_s)
            else:
                tensors = await self._executor.run(arm, call.inputs, budget_s)
        except BaseException as error:  # recorded whatever it is: also a caller who left
            status = status_of(error)
            outcome, code = _OUTCOME_OF.get(type(error), "error"), type(error).__name__
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
                    time.perf_counter() - began_s,
                    tuple([call.inputs[name].tobytes() for name in arm.logged_inputs]),
                    tuple([tensor.tobytes() for tensor in tensors]),
                )
                self._metrics.count(
                    live.route.name, arm.arm.name, arm.arm.version, status, time.perf_counter() - call.started_s
                )
        return tensors

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
            ),
        )
