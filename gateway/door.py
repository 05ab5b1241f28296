"""Inference, in front of the application: decode, plan, run, record, encode. Acts.

No framework, no validation library and no log call on this path. `answer` is the whole of it; it is reached through
ASGI, or without a task by `gateway.eager`.
"""

import hashlib
import os
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import lru_cache
from typing import Any, NamedTuple

import structlog

from gateway.body import ClientGone, Message, Receive, read_body
from gateway.errors import ERROR_HEADER, STATUS_OF, BadRequest, Overloaded, TooLarge, WrongMethod, status_of
from gateway.live import Header, LiveHolder, LiveRoute, find_route
from gateway.metrics import Metrics
from gateway.outbox import Outbox
from gateway.predict import Answer, Call, Predictor
from gateway.protocols.v2_http import InferenceRequest, decode, encode, encode_error
from router.errors import UnknownRoute, UnknownVersion
from router.snapshot import Route

_log = structlog.get_logger()

Scope = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_PREFIX, _SUFFIX = "/v2/models/", "/infer"
_ERROR = ERROR_HEADER.encode()
_RETRY_AFTER_S = b"1"
_JSON: Header = (b"content-type", b"application/json")
_CLOSE: Header = (b"connection", b"close")
_CALLERS_FAULT = (BadRequest, TooLarge, UnknownVersion)


class Response(NamedTuple):
    """An answer, whole."""

    status: int
    content: bytes
    headers: list[Header]


class Door:
    """One per replica. `outstanding` says how many requests the listener has in hand."""

    def __init__(
        self,
        holder: LiveHolder,
        predictor: Predictor,
        metrics: Metrics,
        app: App,
        *,
        secret: bytes,
        max_in_flight: int,
        max_body_bytes: int,
    ) -> None:
        self.draining = False
        self.outbox = Outbox()
        self.outstanding: Callable[[], int] = lambda: 0
        self.max_body_bytes = max_body_bytes
        self._holder = holder
        self._predictor = predictor
        self._metrics = metrics
        self._app = app
        self._secret = secret
        self._max_in_flight = max_in_flight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        path: str = scope.get("path", "")
        if path.startswith(_PREFIX) and path.rstrip("/").endswith(_SUFFIX, len(_PREFIX)):
            try:
                response = await self._infer(scope, receive, path)
            except ClientGone:
                return
        elif path == "/-/healthz":
            status, content = (503, b"draining") if self.draining else (200, b"success")
            response = _response(status, content, [])
        else:
            await self._app(scope, receive, _closing(send) if self.draining else send)
            return
        headers = [*response.headers, _CLOSE] if self.draining else response.headers
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.content})

    def is_quick(self, path: str) -> bool:
        """Whether this is a prediction that `answer(..., on_loop=True)` may be asked for."""
        if not path.startswith(_PREFIX):
            return False
        try:
            name, _ = _target(path)
        except UnknownRoute:
            return False
        live = self._holder.current.routes.get(name)
        return live is not None and self._predictor.is_quick(live)

    async def answer(
        self,
        method: str,
        path: str,
        headers: Mapping[bytes, bytes],
        body: bytes,
        started_s: float,
        *,
        on_loop: bool = False,
        probe: bool = False,
    ) -> Response:
        """One prediction, from the body's bytes to the answer's. Raises nothing: errors are answers too.

        `started_s` is of `time.perf_counter`. With `on_loop` it never waits. A `probe` is answered like any other
        request and not recorded.
        """
        decision_id = os.urandom(12).hex()
        live: LiveRoute | None = None
        try:
            if method != "POST":
                raise WrongMethod(f"{path} takes POST, not {method}.")
            name, version = _target(path)
            live = find_route(self._holder.current, name)
            _refuse_encodings(headers)
            request = decode(body, live.signature)
            unit = _unit(live.route, headers, request)
            call = Call(
                decision_id,
                started_s,
                request.inputs,
                request.batch_size,
                unit,
                None if unit is None else self._unit_hash(unit),
                _text(headers.get(b"x-force-arm")),
                version,
                request.id,
                _trace_id(headers.get(b"traceparent")),
                probe,
            )
            answer = await self._predictor.predict(live, call, on_loop=on_loop)
            return _success(live.route.name, decision_id, request, answer)
        except tuple(STATUS_OF) as error:
            return self._refusal(error, live, decision_id, started_s, probe)
        except Exception:  # noqa: BLE001  # a fault of ours: the caller still gets a sentence
            _log.exception("gateway.predict.failed", path=path)
            return _response(500, encode_error("The gateway failed; its log says why."), [])

    async def _infer(self, scope: Scope, receive: Receive, path: str) -> Response:
        """Reads the body, unless there is too much to do or to read."""
        started_s = time.perf_counter()
        headers = dict(scope["headers"])
        try:
            if self.outstanding() > self._max_in_flight:
                self._metrics.shed.inc()
                raise Overloaded(f"More than {self._max_in_flight} requests are in flight; try again in a second.")
            body = await read_body(receive, headers, self.max_body_bytes)
        except (Overloaded, TooLarge, BadRequest) as error:
            live = self._holder.current.routes.get(path.split("/", 4)[3])
            return self._refusal(error, live, os.urandom(12).hex(), started_s, probe=False)
        return await self.answer(scope["method"], path, headers, body, started_s)

    def _refusal(
        self, error: Exception, live: LiveRoute | None, decision_id: str, started_s: float, probe: bool
    ) -> Response:
        if live is not None and isinstance(error, _CALLERS_FAULT):
            call = Call(decision_id, started_s, inputs={}, batch_size=0, probe=probe)
            self._predictor.reject(live, call, error)
        extra: list[Header] = [(b"x-decision-id", decision_id.encode()), *_advice(error)]
        return _response(status_of(error), encode_error(str(error)), extra)

    def _unit_hash(self, unit: str) -> str:
        """What the log keeps instead of the unit itself."""
        return hashlib.blake2b(unit.encode("utf-8", "surrogatepass"), key=self._secret, digest_size=16).hexdigest()


@lru_cache(maxsize=1024)
def _target(path: str) -> tuple[str, str | None]:
    """Route and pinned version of an inference path."""
    parts = path.rstrip("/").split("/")
    if parts[-1] != "infer":
        raise UnknownRoute(f"{path} is not a prediction's path.")
    if len(parts) == 5 and parts[3]:
        return parts[3], None
    if len(parts) == 7 and parts[4] == "versions" and parts[3] and parts[5]:
        return parts[3], parts[5]
    raise UnknownRoute(f"{path} is not of the form /v2/models/ROUTE[/versions/VERSION]/infer.")


def _refuse_encodings(headers: Mapping[bytes, bytes]) -> None:
    if b"inference-header-content-length" in headers:
        raise BadRequest("Binary tensors are not supported yet; send data as JSON (tritonclient: binary_data=False).")
    encoding = headers.get(b"content-encoding", b"identity")
    if encoding != b"identity":
        raise BadRequest(f"Content-Encoding {encoding.decode('latin-1')} is not supported; send plain JSON.")


def _unit(route: Route, headers: Mapping[bytes, bytes], request: InferenceRequest) -> str | None:
    if route.unit_header is not None:
        return _text(headers.get(route.unit_header))
    if route.unit_parameter is not None:
        value = request.parameters.get(route.unit_parameter)
        return None if value is None else str(value)
    return None


def _text(value: bytes | None) -> str | None:
    return value.decode("utf-8", "replace") if value else None


def _trace_id(traceparent: bytes | None) -> str:
    """The trace id of a W3C traceparent header, or nothing."""
    if traceparent is None:
        return ""
    parts = traceparent.split(b"-")
    return parts[1].decode("latin-1") if len(parts) >= 4 and len(parts[1]) == 32 else ""


def _success(route: str, decision_id: str, request: InferenceRequest, answer: Answer) -> Response:
    arm, propensity = answer.arm, answer.propensity
    headers = [(b"x-decision-id", decision_id.encode()), (b"x-reason", answer.reason.encode()), *arm.headers]
    parameters: dict[str, Any] = {"decision_id": decision_id, "arm": arm.arm.name, "reason": answer.reason}
    if propensity is not None:
        parameters["propensity"] = propensity
        headers.append((b"x-propensity", repr(propensity).encode()))
    outputs, tensors = arm.output_names, answer.tensors
    if request.outputs is not None:
        tensors = [tensors[outputs.index(name)] for name in request.outputs]
        outputs = tuple(request.outputs)
    content = encode(route, arm.arm.version, request.id or decision_id, parameters, outputs, tensors)
    return _response(200, content, headers)


def _advice(error: Exception) -> list[Header]:
    """Headers that tell a program what happened and what to do next."""
    advice: list[Header] = [(_ERROR, type(error).__name__.encode())]
    if isinstance(error, Overloaded):
        advice.append((b"retry-after", _RETRY_AFTER_S))
    if isinstance(error, WrongMethod):
        advice.append((b"allow", b"POST"))
    return advice


def _response(status: int, content: bytes, extra: list[Header]) -> Response:
    return Response(status, content, [_JSON, (b"content-length", str(len(content)).encode()), *extra])


def _closing(send: Send) -> Send:
    """Tells keep-alive clients to leave: this replica is about to."""

    async def send_and_close(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], _CLOSE]}
        await send(message)

    return send_and_close
