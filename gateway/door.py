"""The plain ASGI handler in front of the application: inference here, everything else behind it. Acts.

Decode, plan, run, record, encode; no framework, no validation library and no log call on this path.
"""

import hashlib
import os
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog

from gateway.body import ClientGone, Message, Receive, read_body
from gateway.errors import STATUS_OF, BadRequest, Overloaded, TooLarge, WrongMethod, status_of
from gateway.live import Header, LiveHolder, LiveRoute, find_route
from gateway.metrics import Metrics
from gateway.predict import Answer, Call, Predictor
from gateway.protocols.v2_http import InferenceRequest, decode, encode, encode_error
from router.errors import UnknownRoute, UnknownVersion
from router.snapshot import Route

_log = structlog.get_logger()

Scope = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PROBE = "pointsman.probe"
"""Set in an ASGI scope's `extensions` by the replica's own health check: answered like any other, not recorded."""

ERROR_HEADER = b"x-error"
"""The class of the error, on every answer that is one. Missing from a 5xx, it was a fault of the gateway itself."""

_PREFIX, _SUFFIX = "/v2/models/", "/infer"
_RETRY_AFTER_S = b"1"
_JSON: Header = (b"content-type", b"application/json")
_CLOSE: Header = (b"connection", b"close")
_CALLERS_FAULT = (BadRequest, TooLarge, UnknownVersion)


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
        self.outstanding: Callable[[], int] = lambda: 0
        self._holder = holder
        self._predictor = predictor
        self._metrics = metrics
        self._app = app
        self._secret = secret
        self._max_in_flight = max_in_flight
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if self.draining:
            send = _closing(send)
        path: str = scope.get("path", "")
        if path.startswith(_PREFIX) and path.rstrip("/").endswith(_SUFFIX):
            try:
                await self._infer(scope, receive, send, path)
            except ClientGone:
                return
            except Exception:  # noqa: BLE001  # a fault of ours: the caller still gets a sentence
                _log.exception("gateway.predict.failed", path=path)
                await _respond(send, 500, encode_error("The gateway failed; its log says why."), [])
        elif path == "/-/healthz":
            await _respond(send, *((503, b"draining") if self.draining else (200, b"success")), [])
        else:
            await self._app(scope, receive, send)

    async def _infer(self, scope: Scope, receive: Receive, send: Send, path: str) -> None:
        started_s = time.perf_counter()
        decision_id = os.urandom(12).hex()
        probe = PROBE in scope.get("extensions", ())
        live: LiveRoute | None = None
        extra: list[Header] = [(b"x-decision-id", decision_id.encode())]
        try:
            if scope["method"] != "POST":
                raise WrongMethod(f"{path} takes POST, not {scope['method']}.")
            name, version = _target(path)
            headers = dict(scope["headers"])
            if self.outstanding() > self._max_in_flight and not probe:
                self._metrics.shed.inc()
                raise Overloaded(f"More than {self._max_in_flight} requests are in flight; try again in a second.")
            live = find_route(self._holder.current, name)
            body = await read_body(receive, headers, self._max_body_bytes)
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
            answer = await self._predictor.predict(live, call)
            content = _content(live.route.name, decision_id, request, answer)
        except tuple(STATUS_OF) as error:
            if live is not None and isinstance(error, _CALLERS_FAULT):
                self._predictor.reject(live, _rejected_call(decision_id, started_s, probe), error)
            await _respond(send, status_of(error), encode_error(str(error)), [*extra, *_advice(error)])
            return
        extra += answer.arm.headers
        extra.append((b"x-reason", answer.reason.encode()))
        if answer.propensity is not None:
            extra.append((b"x-propensity", repr(answer.propensity).encode()))
        await _respond(send, 200, content, extra)

    def _unit_hash(self, unit: str) -> str:
        """What the log keeps instead of the unit itself."""
        return hashlib.blake2b(unit.encode("utf-8", "surrogatepass"), key=self._secret, digest_size=16).hexdigest()


def _target(path: str) -> tuple[str, str | None]:
    """Route and pinned version of an inference path."""
    parts = path.rstrip("/").split("/")
    if len(parts) == 5 and parts[3]:
        return parts[3], None
    if len(parts) == 7 and parts[4] == "versions" and parts[3] and parts[5]:
        return parts[3], parts[5]
    raise UnknownRoute(f"{path} is not of the form /v2/models/ROUTE[/versions/VERSION]/infer.")


def _refuse_encodings(headers: dict[bytes, bytes]) -> None:
    if b"inference-header-content-length" in headers:
        raise BadRequest("Binary tensors are not supported yet; send data as JSON (tritonclient: binary_data=False).")
    encoding = headers.get(b"content-encoding", b"identity")
    if encoding != b"identity":
        raise BadRequest(f"Content-Encoding {encoding.decode('latin-1')} is not supported; send plain JSON.")


def _unit(route: Route, headers: dict[bytes, bytes], request: InferenceRequest) -> str | None:
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
    parts = (traceparent or b"").split(b"-")
    return parts[1].decode("latin-1") if len(parts) >= 4 and len(parts[1]) == 32 else ""


def _content(route: str, decision_id: str, request: InferenceRequest, answer: Answer) -> bytes:
    arm = answer.arm
    parameters: dict[str, Any] = {"decision_id": decision_id, "arm": arm.arm.name, "reason": answer.reason}
    if answer.propensity is not None:
        parameters["propensity"] = answer.propensity
    outputs, tensors = request.outputs, answer.tensors
    if len(outputs) != len(tensors) or tuple(outputs) != arm.output_names:
        tensors = [tensors[arm.output_names.index(name)] for name in outputs]
    return encode(route, arm.arm.version, request.id or decision_id, parameters, outputs, tensors)


def _rejected_call(decision_id: str, started_s: float, probe: bool) -> Call:
    return Call(decision_id, started_s, inputs={}, batch_size=0, probe=probe)


def _advice(error: Exception) -> list[Header]:
    """Headers that tell a program what happened and what to do next."""
    advice: list[Header] = [(ERROR_HEADER, type(error).__name__.encode())]
    if isinstance(error, Overloaded):
        advice.append((b"retry-after", _RETRY_AFTER_S))
    if isinstance(error, WrongMethod):
        advice.append((b"allow", b"POST"))
    return advice


async def _respond(send: Send, status: int, content: bytes, extra: list[Header]) -> None:
    headers = [_JSON, (b"content-length", str(len(content)).encode()), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _closing(send: Send) -> Send:
    """Tells keep-alive clients to leave: this replica is about to."""

    async def send_and_close(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], _CLOSE]}
        await send(message)

    return send_and_close
