"""Predict: draw an arm, run it, fall back if it fails, record every attempt. Knows no protocol."""

import time
from collections.abc import Sequence

from gateway.errors import ArmDown, TooLate, status_of
from gateway.execution.breaker import Breaker, BreakerState
from gateway.execution.job import Job
from gateway.inference.call import Answer, Call, Times
from gateway.inference.live_table import LiveArm, LiveRoute
from gateway.inference.recorder import Recorder
from gateway.inference.shadows import Shadows
from gateway.telemetry.metrics import Metrics
from inference_log.record import CALLERS_DEADLINE, NOT_STARTED, Context, Outcome
from router.plan import Plan, Reason, plan
from runtimes.datatypes import Tensor
from runtimes.errors import InputRefused, ModelFailed

_OUTCOME_OF: dict[type[BaseException], Outcome] = {ModelFailed: "error", TooLate: "timeout"}
# An arm may not use up the time that its fallbacks need. Each fallback keeps the largest of: this many seconds, this
# share of the deadline, the time of this many of its runs.
_RESERVE_S = 0.005
_RESERVE_SHARE = 0.1
_RESERVE_RUNS = 4.0


class Predictor:
    """One per replica."""

    def __init__(self, recorder: Recorder, metrics: Metrics, shadows: Shadows) -> None:
        self._recorder = recorder
        self._metrics = metrics
        self._shadows = shadows

    async def predict(self, live: LiveRoute, call: Call) -> Answer:
        """Answer one request. Every attempt is in the log before this returns.

        Run the coroutine with `gateway.eventloop.driver`.

        Raises:
            UnknownVersion: no arm serves the version or arm that the call names.
            Quarantined: the version or arm that the call names is in quarantine on this route.
            InputRefused, ModelFailed, ArmDown, TooLate: the arm, and its fallbacks if it has any, could not answer.
            ClientGone: the client has left.
        """
        route = live.route
        decided = plan(
            route,
            call.decision_id,
            unit=call.unit,
            forced_arm=call.forced_arm,
            pinned_version=call.pinned_version,
            is_targeted=call.is_targeted,
            slots=None if call.weighed is None else call.weighed.slots,
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
                until_s = deadline_s - _reserve_s(live, decided.fallbacks, call, deadline_s)
            try:
                tensors, model_s, recorded = await self._attempt(
                    live, arm, call, context=context, decided=decided, number=attempt, until_s=until_s, blamed=blamed
                )
                break
            except (InputRefused, ModelFailed, ArmDown, TooLate) as error:
                if not decided.fallbacks:
                    raise
                if isinstance(error, InputRefused) and decided.propensity is not None:
                    blamed = (arm.arm.name, arm.arm.version)  # recorded only if the fallback takes these values
            following, *others = decided.fallbacks
            decided = Plan(following, tuple(others), Reason.FALLBACK, None)
            arm = live.arms[following]
            context, attempt = arm.fallback, attempt + 1
        if live.shadows and decided.propensity is not None and not call.probe:
            self._shadows.offer(live, call, decided.primary, tensors, model_s)
        return Answer(arm, tensors, decided.reason, decided.propensity, recorded)

    def reject(self, live: LiveRoute, call: Call, error: Exception, attempt: int = 0) -> None:
        """Record a request that was rejected, before any arm ran or after `attempt` of them; not if it is a probe."""
        if call.probe:
            return
        status, latency_s = status_of(error).http, time.perf_counter() - call.started_s
        self._recorder.record(
            live.rejected,
            call,
            attempt=attempt,
            reason="",
            propensity=None,
            status=status,
            outcome="rejected",
            error_code=type(error).__name__,
            latency_s=latency_s,
        )
        self._metrics.count(live.route.name, "", "", status, latency_s)

    async def _attempt(
        self,
        live: LiveRoute,
        arm: LiveArm,
        call: Call,
        *,
        context: Context,
        decided: Plan,
        number: int,
        until_s: float | None,
        blamed: tuple[str, str] | None,
    ) -> tuple[Sequence[Tensor], float, Times | None]:
        """Run one arm and record the attempt, whatever happens.

        Return its outputs, the model's time in seconds, and the times of the record.
        """
        job: Job | None = None
        recorded: Times | None = None
        tensors: Sequence[Tensor] = ()
        status, code = 200, ""
        outcome: Outcome = "ok"
        breaker = arm.lane.breaker
        try:
            if not _admits(breaker, call):
                raise ArmDown(f"Arm {arm.arm.name} has failed again and again and is left alone for a moment.")
            job = arm.lane.submit(
                call.inputs,
                call.batch_size,
                until_s,
                live.route.batch_wait_s,
                route=live.route.name,
                probe=call.probe,
            )
            tensors = await job
            if not call.probe:
                breaker.succeeded()
        except BaseException as error:  # recorded in any case, also when the client has left
            status = status_of(error).http
            outcome, code = _OUTCOME_OF.get(type(error), "error"), _code_of(error, call, live, breaker)
            if not call.probe:
                _report_failure(breaker, error, job, live)
            raise
        finally:
            if not call.probe:
                latency_s = time.perf_counter() - call.started_s
                recorded = self._recorder.record(
                    context,
                    call,
                    attempt=number,
                    reason=decided.reason,
                    propensity=decided.propensity,
                    status=status,
                    outcome=outcome,
                    error_code=code,
                    latency_s=latency_s,
                    model_s=0.0 if job is None else job.model_s,
                    queue_s=None if job is None else job.queue_s,
                    inputs=[call.inputs[name] for name in arm.logged_inputs],
                    outputs=tensors and (arm.logged_answer or tensors),
                    logged_outputs=arm.logged_outputs,
                    rules=arm.rules,
                    blamed=blamed,
                )
                self._metrics.count(live.route.name, arm.arm.name, arm.arm.version, status, latency_s)
        return tensors, job.model_s, recorded


def _reserve_s(live: LiveRoute, fallbacks: Sequence[int], call: Call, deadline_s: float) -> float:
    """Return the seconds that the remaining fallbacks keep together: what they need, at most half of what is left."""
    least_s = max(_RESERVE_S, _RESERVE_SHARE * (deadline_s - call.started_s))
    paces = [live.arms[each].lane.paces.of(live.route.name) for each in fallbacks]
    runs_s = [_RESERVE_RUNS * pace.expected_s(call.batch_size) for pace in paces]
    return min((deadline_s - time.perf_counter()) / 2, sum(max(least_s, each) for each in runs_s))


def _code_of(error: BaseException, call: Call, live: LiveRoute, breaker: Breaker) -> str:
    """Return the error code that the log gets. It says more than the error's class where counting needs it."""
    if isinstance(error, TooLate):
        if error.is_not_started:
            return NOT_STARTED
        if _is_callers_deadline(call, live):
            return CALLERS_DEADLINE
    if isinstance(error, ArmDown) and not breaker.has_failed(live.route.name):
        return NOT_STARTED
    return type(error).__name__


def _is_callers_deadline(call: Call, live: LiveRoute) -> bool:
    """Return True if the caller gives the arm less time than the route does."""
    own_s = live.route.deadline_s
    return call.deadline_s is not None and (own_s is None or call.deadline_s < call.started_s + own_s)


def _admits(breaker: Breaker, call: Call) -> bool:
    """Return True if the arm may run. The replica's own probe neither opens a breaker nor serves as its trial."""
    return breaker.state is BreakerState.CLOSED if call.probe else breaker.admits(time.perf_counter())


def _report_failure(breaker: Breaker, error: BaseException, job: Job | None, live: LiveRoute) -> None:
    """Report a failure to the arm's breaker, as far as the arm is at fault."""
    if _is_arms_fault(error, job, live):
        is_not_started = isinstance(error, TooLate) and error.is_not_started  # the version is busy; with other routes
        breaker.failed(time.perf_counter(), "" if is_not_started else live.route.name)
    elif isinstance(error, InputRefused):  # the model runs; it refuses these values
        breaker.succeeded()
    elif isinstance(error, TooLate) and job is None:
        breaker.not_tried(time.perf_counter())


def _is_arms_fault(error: BaseException, job: Job | None, live: LiveRoute) -> bool:
    """Return True if the model raised, or used up the time that the route gives it."""
    if isinstance(error, TooLate):
        deadline_s = live.route.deadline_s  # an arm with a fallback gets at least half of it, less the time of decoding
        return job is not None and deadline_s is not None and time.perf_counter() - job.queued_s > deadline_s / 3
    return isinstance(error, ModelFailed)
