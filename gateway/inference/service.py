"""The inference service: what every protocol edge calls, once per prediction.

An edge (HTTP, gRPC) knows its protocol and its transport. Everything else is the same for all edges and is done here:
may the caller use the route, is there room, which route, how much time is left, and recording a request that is
rejected.
"""

import os
from collections.abc import Callable
from typing import NamedTuple

from gateway.errors import BadRequest, Overloaded, TooLarge, UnsupportedContent
from gateway.eventloop.driver import Pending
from gateway.eventloop.interruption import INTERRUPTION
from gateway.inference.call import Answer, Call
from gateway.inference.deadline import callers_deadline_s
from gateway.inference.fields import response_meta, text_of, token_of, unit_of
from gateway.inference.guard import Guard
from gateway.inference.live_table import LiveRoute, LiveTableHolder, find_route, only_route
from gateway.inference.predictor import Predictor
from gateway.inference.sender import Sender, tags_of
from gateway.inference.strict.predict import StrictPredictor
from gateway.inference.token_key_file import TokenKeyFile
from gateway.inference.traced import traced
from gateway.inference.unit_secret import hash_unit
from gateway.protocols.request import Headers, InferenceRequest, ResponseMeta
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tracing import Tracing, trace_id
from router.errors import Quarantined, UnknownVersion
from runtimes.manifest import Signature

PREDICT = "predict"
_CALLERS_FAULT = (BadRequest, TooLarge, UnsupportedContent, UnknownVersion, Quarantined)


class Prediction(NamedTuple):
    """An answered request, for the edge to encode. `response` is what the response says beside the tensors."""

    request: InferenceRequest
    answer: Answer
    response: ResponseMeta


def new_decision_id() -> str:
    """Return 24 random hexadecimal digits."""
    return os.urandom(12).hex()


class InferenceService:
    """One per replica. `in_hand` is the number of predictions that are under way.

    `token_keys` seal the tokens of decisions that may get rewards. Without keys there are no tokens. `strict` predicts
    for routes that are strict; without it, they are not answered.
    """

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
        token_keys: TokenKeyFile | None = None,
        strict: StrictPredictor | None = None,
    ) -> None:
        self.in_hand = 0
        self._holder = holder
        self._predictor = predictor
        self._predict = predictor.predict if tracing is None else traced(predictor.predict, tracing)
        self._strict = strict or StrictPredictor(predictor, None)
        self._metrics = metrics
        self._guard = guard
        self._tracing = tracing
        self._secret = secret
        self._token_keys = token_keys
        self._max_in_flight = max_in_flight
        self._max_instances = max_instances

    async def infer(
        self,
        route: str,
        headers: Headers,
        decode: Callable[[Signature], InferenceRequest | Pending[InferenceRequest]],
        *,
        decision_id: str,
        started_s: float,
        version: str | None = None,
        read_time_left_s: Callable[[Headers], float | None] | None = None,
        probe: bool = False,
        door: str = "",
    ) -> Prediction:
        """Answer one request. Run the coroutine with `gateway.eventloop.driver`.

        `decode` gets the route's signature and returns the request, or what a thread will return. It is called once it
        is clear that the caller may use the route. `started_s` is of `time.perf_counter`. The shortest of three
        deadlines counts: the route's, the caller's (header `x-deadline-ms`, parameter `timeout` in microseconds) and
        the transport's (`read_time_left_s` reads it, in seconds, from the headers of a gRPC call). A `probe` is the
        replica's own request: it needs no credentials and is not recorded. `door` is the protocol's name in the log.

        A request that is rejected before any arm ran is recorded if the caller is at fault. Every attempt of an arm is
        recorded before this returns or raises.

        Raises:
            Unauthenticated, Forbidden, RateLimited: the caller may not use the route.
            Overloaded: too many requests are in flight.
            UnknownRoute, NotReady: there is no such route, or it cannot be served.
            BadRequest: a deadline is no positive number, or the request has more instances than allowed.
            And what `decode`, `Predictor.predict` and, for a strict route, `StrictPredictor.predict` raise.
        """
        caller = "" if self._guard is None or probe else self._guard.admit(headers, PREDICT, route)
        live = self._find(route, probe=probe)
        sender = Sender(caller, door, tags_of(headers.get(b"x-tags")))
        try:
            decoded = INTERRUPTION.run(decode, live.signature)
            request = await self._decoded(decoded) if isinstance(decoded, Pending) else decoded
            call = self._call(
                live,
                headers,
                request,
                decision_id=decision_id,
                started_s=started_s,
                version=version,
                time_left_s=None if read_time_left_s is None else read_time_left_s(headers),
                probe=probe,
                sender=sender,
            )
            self.in_hand += 1
            try:
                if live.is_strict:
                    answer = await self._strict.predict(live, call, self._predict)
                else:
                    answer = await self._predict(live, call)
            finally:
                self.in_hand -= 1
        except _CALLERS_FAULT as error:
            rejected = Call(decision_id, started_s, inputs={}, batch_size=0, probe=probe, sender=sender)
            self._predictor.reject(live, rejected, error)
            raise
        token = None
        if live.route.metrics and self._token_keys is not None:
            token = token_of(live, call, answer, self._token_keys.current)
        return Prediction(request, answer, response_meta(live.route.name, request, decision_id, answer, token))

    async def _decoded(self, pending: Pending[InferenceRequest]) -> InferenceRequest:
        self.in_hand += 1
        try:
            return await pending
        finally:
            self.in_hand -= 1

    def check_caller(self, name: str, headers: Headers) -> None:
        """Check what can be checked before the body is read: the credential and the route. No rate is counted.

        Raises:
            Unauthenticated, Forbidden: the caller may not use the route.
            UnknownRoute, NotReady: there is no such route, or it cannot be served.
        """
        if self._guard is not None:
            self._guard.check(headers, PREDICT, name)
        find_route(self._holder.current, name)

    def only_route(self, headers: Headers) -> str | None:
        """Return the one route that there is, or None, once the credential is checked. Raises what the guard raises."""
        if self._guard is not None:
            self._guard.check_scope(headers, PREDICT)
        return only_route(self._holder.current)

    def _find(self, name: str, *, probe: bool) -> LiveRoute:
        """Return the route, if there is room for a request."""
        if self.in_hand >= self._max_in_flight:
            if not probe:
                self._metrics.shed += 1
            raise Overloaded(f"{self._max_in_flight} requests are in flight already; try again in a second.")
        return find_route(self._holder.current, name)

    def _call(
        self,
        live: LiveRoute,
        headers: Headers,
        request: InferenceRequest,
        *,
        decision_id: str,
        started_s: float,
        version: str | None,
        time_left_s: float | None,
        probe: bool,
        sender: Sender,
    ) -> Call:
        """Return a decoded request in the form that the predictor takes."""
        if request.batch_size > self._max_instances:
            raise BadRequest(
                f"{request.batch_size} instances in one request; at most {self._max_instances} are taken. If the first "
                "dimension does not count instances, say `batch: none` in the model.yaml of the version."
            )
        unit = unit_of(live.route, headers, request)
        targeting, weights = live.targeting, live.weights
        if weights is not None and weights.needs_one_instance and request.batch_size > 1:
            raise BadRequest(
                f"The bandit of route {live.route.name} looks at the inputs of a request, so a request is one "
                f"instance; this one has {request.batch_size}. Send a request for each instance, or declare a context "
                "of parameters or headers."
            )
        return Call(
            decision_id,
            started_s,
            request.inputs,
            request.batch_size,
            unit=unit,
            unit_hash=None if unit is None else self._unit_hash(unit),
            forced_arm=text_of(headers.get(b"x-force-arm")),
            pinned_version=version,
            deadline_s=callers_deadline_s(headers, request.parameters, started_s, time_left_s),
            request_id=request.id,
            trace_id=trace_id(headers),
            headers=None if self._tracing is None else headers,
            probe=probe,
            is_targeted=targeting is None
            or INTERRUPTION.run(targeting.matches, headers, request.parameters, request.inputs, unit),
            weighed=None if weights is None else weights.weigh(headers, request.parameters, request.inputs, unit),
            sender=sender,
        )

    def _unit_hash(self, unit: str) -> str:
        """Return what the log keeps instead of the unit itself."""
        return hash_unit(unit, self._secret)
