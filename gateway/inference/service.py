"""What every door does between decoding a request and encoding its answer. Acts.

A door (HTTP, gRPC) knows its protocol and its transport; who may ask, which route is meant, how long there is, and
what becomes of a refusal, is the same for all of them.
"""

import hashlib
import math
import os
import time
from collections.abc import Mapping
from typing import Any, Protocol

from gateway.errors import BadRequest, Overloaded, TooLarge
from gateway.inference.live_table import LiveRoute, LiveTableHolder, find_route
from gateway.inference.predictor import Answer, Call, Predictor
from gateway.protocols.request import Answered, InferenceRequest, Parameters
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tracing import Tracing, trace_id
from router.errors import UnknownVersion
from router.snapshot import Route

Headers = Mapping[bytes, bytes]
"""Names in lower case. For gRPC: the call's metadata."""

PREDICT = "predict"
_MAX_DEADLINE_S = 3600.0
_CALLERS_FAULT = (BadRequest, TooLarge, UnknownVersion)


class Guard(Protocol):
    """Who may do what."""

    def admit(self, headers: Headers, scope: str, route: str | None) -> None:
        """Returns if whoever sent these headers may do this.

        Raises:
            Unauthenticated, Forbidden, RateLimited.
        """


def new_decision_id() -> str:
    """24 hexadecimal digits."""
    return os.urandom(12).hex()


def answered_with(route: str, request: InferenceRequest, decision_id: str, answer: Answer) -> Answered:
    """What every door says beside the tensors: the version that was used, and the decision."""
    arm = answer.arm.arm
    parameters: Parameters = {"decision_id": decision_id, "arm": arm.name, "reason": answer.reason}
    if answer.propensity is not None:
        parameters["propensity"] = answer.propensity
    return Answered(route, arm.version, request.id or decision_id, parameters)


class InferenceService:
    """One per replica. `in_hand` says how many predictions are being worked on."""

    def __init__(
        self,
        holder: LiveTableHolder,
        predictor: Predictor,
        metrics: Metrics,
        guard: Guard | None,
        tracing: Tracing | None = None,
        *,
        secret: bytes,
        max_in_flight: int,
        max_instances: int,
    ) -> None:
        self.in_hand = 0
        self._holder = holder
        self._predictor = predictor
        self._metrics = metrics
        self._guard = guard
        self._tracing = tracing
        self._secret = secret
        self._max_in_flight = max_in_flight
        self._max_instances = max_instances

    def find(self, name: str, headers: Headers | None) -> LiveRoute:
        """The route, for a caller who may use it now. Without headers, it is the replica itself who asks.

        Raises:
            Unauthenticated, Forbidden, RateLimited: he may not.
            Overloaded: there is too much in hand.
            UnknownRoute, NotReady: there is no such route, or it cannot be served.
        """
        if self._guard is not None and headers is not None:
            self._guard.admit(headers, PREDICT, name)
        if self.in_hand >= self._max_in_flight:
            if headers is not None:
                self._metrics.shed.inc()
            raise Overloaded(f"{self._max_in_flight} requests are in flight already; try again in a second.")
        return find_route(self._holder.current, name)

    def call(
        self,
        live: LiveRoute,
        headers: Headers,
        request: InferenceRequest,
        *,
        decision_id: str,
        started_s: float,
        version: str | None = None,
        time_left_s: float | None = None,
        probe: bool = False,
    ) -> Call:
        """A decoded request as the predictor takes it. `started_s` is of `time.perf_counter`.

        The least of the route's deadline, the caller's (header `x-deadline-ms`, parameter `timeout` in microseconds)
        and the transport's (`time_left_s`, for gRPC) counts.

        Raises:
            BadRequest: a deadline that is no positive number; more instances than allowed.
        """
        if request.batch_size > self._max_instances:
            raise BadRequest(f"{request.batch_size} instances in one request; at most {self._max_instances} are taken.")
        unit = _unit(live.route, headers, request)
        return Call(
            decision_id,
            started_s,
            request.inputs,
            request.batch_size,
            unit,
            None if unit is None else self._unit_hash(unit),
            _text(headers.get(b"x-force-arm")),
            version,
            _deadline_s(headers, request.parameters, started_s, time_left_s),
            request.id,
            trace_id(headers),
            None if self._tracing is None else headers,
            probe,
            live.target is None or live.target.matches(headers, request.parameters, request.inputs, unit),
        )

    async def predict(self, live: LiveRoute, call: Call) -> Answer:
        """See `Predictor.predict`, of which this is the door."""
        self.in_hand += 1
        try:
            if self._tracing is None:
                return await self._predictor.predict(live, call)
            return await self._traced(self._tracing, live, call)
        finally:
            self.in_hand -= 1

    async def _traced(self, tracing: Tracing, live: LiveRoute, call: Call) -> Answer:
        """The same, with a span below the caller's."""
        answer: Answer | None = None
        failure = ""
        try:
            answer = await self._predictor.predict(live, call)
        except Exception as error:
            failure = str(error)
            raise
        else:
            return answer
        finally:
            if not call.probe:
                ended_ns = time.time_ns()
                tracing.record_prediction(
                    call.headers or {},
                    started_ns=ended_ns - int((time.perf_counter() - call.started_s) * 1e9),
                    ended_ns=ended_ns,
                    route=live.route.name,
                    arm=answer.arm.arm.name if answer is not None else "",
                    model_version=answer.arm.arm.version if answer is not None else "",
                    decision_id=call.decision_id,
                    reason=answer.reason if answer is not None else "",
                    failure=failure,
                )

    def refuse(self, error: Exception, live: LiveRoute | None, decision_id: str, started_s: float) -> None:
        """Records a request that was refused before any arm was asked, where it is the caller's fault."""
        if live is not None and isinstance(error, _CALLERS_FAULT):
            self._predictor.reject(live, Call(decision_id, started_s, inputs={}, batch_size=0), error)

    def _unit_hash(self, unit: str) -> str:
        """What the log keeps instead of the unit itself."""
        return hashlib.blake2b(unit.encode("utf-8", "surrogatepass"), key=self._secret, digest_size=16).hexdigest()


def _unit(route: Route, headers: Headers, request: InferenceRequest) -> str | None:
    if route.unit_header is not None:
        return _text(headers.get(route.unit_header))
    if route.unit_parameter is not None:
        value = request.parameters.get(route.unit_parameter)
        return None if value is None else str(value)
    return None


def _deadline_s(
    headers: Headers, parameters: Mapping[str, Any], started_s: float, time_left_s: float | None
) -> float | None:
    """When the caller wants his answer at the latest, of `time.perf_counter`."""
    header, parameter = headers.get(b"x-deadline-ms"), parameters.get("timeout")
    if header is None and parameter is None and time_left_s is None:
        return None
    allowed_s = _MAX_DEADLINE_S if time_left_s is None else time_left_s
    if header is not None:
        allowed_s = min(allowed_s, _positive(header, "The header x-deadline-ms (milliseconds)") / 1e3)
    if parameter is not None and parameter != 0:  # the protocol's word for none
        allowed_s = min(allowed_s, _positive(parameter, "The parameter timeout (microseconds)") / 1e6)
    return started_s + allowed_s


def _positive(value: object, what: str) -> float:
    try:
        is_number = isinstance(value, bytes | str | int | float) and not isinstance(value, bool)
        number = float(value) if is_number else math.nan  # type: ignore[arg-type]  # it is one of them
    except (ValueError, OverflowError):
        number = math.nan
    if not number > 0:
        raise BadRequest(f"{what} must be a positive number.")
    return number


def _text(value: bytes | None) -> str | None:
    return value.decode("utf-8", "replace") if value else None
