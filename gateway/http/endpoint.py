"""Inference over HTTP, in front of the application: decode, ask the reception, encode. Acts.

No framework, no validation library and no log call on this path. `answer` is the whole of it; it is reached through
ASGI, or without a task by `gateway.http.connection`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any, NamedTuple

import structlog
from starlette.types import Message, Receive

from gateway.errors import STATUS_OF, WrongMethod, advice_of, status_of
from gateway.eventloop.driver import run_in_task
from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.http.body import ClientDisconnected, read_body
from gateway.inference.live_table import Header, LiveRoute
from gateway.inference.predictor import Answer
from gateway.inference.service import Headers, InferenceService, answered_with, new_decision_id
from gateway.protocols import v1_http, v2_http
from gateway.protocols.compression import choose, compress, decompress
from gateway.protocols.request import InferenceRequest
from router.errors import UnknownRoute

_log = structlog.get_logger()

Scope = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_V2, _V1 = "/v2/models/", "/v1/models/"
_INFER, _PREDICT = "/infer", ":predict"
_WORTH_COMPRESSING_BYTES = 1024
_JSON: Header = (b"content-type", b"application/json")
_BINARY: Header = (b"content-type", b"application/octet-stream")
_TEXT: Header = (b"content-type", b"text/plain; charset=utf-8")
_CLOSE: Header = (b"connection", b"close")


class Target(NamedTuple):
    """What a prediction's path names."""

    is_v1: bool
    route: str
    version: str | None


class Response(NamedTuple):
    """An answer, whole."""

    status: int
    content: bytes
    headers: list[Header]


class InferenceEndpoint:
    """One per replica."""

    def __init__(self, reception: InferenceService, app: App, turn: EndOfTurn, *, max_body_bytes: int) -> None:
        self.draining = False
        self.turn = turn
        self.max_body_bytes = max_body_bytes
        self.reception = reception
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        path: str = scope.get("path", "")
        if scope["type"] == "http" and is_prediction(path):
            try:
                response = await self._infer(scope, receive, path)
            except ClientDisconnected:
                return
        elif path == "/-/healthz":
            status, content = (503, b"draining") if self.draining else (200, b"success")
            response = _response(status, content, [], _TEXT)
        else:
            await self._app(scope, receive, _closing(send) if self.draining else send)
            return
        headers = [*response.headers, _CLOSE] if self.draining else response.headers
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.content})

    async def answer(
        self,
        method: str,
        path: str,
        headers: Headers,
        body: bytes | memoryview,
        started_s: float,
        *,
        probe: bool = False,
    ) -> Response:
        """One prediction, from the body's bytes to the answer's. Raises nothing: errors are answers too.

        To be driven by `gateway.eventloop.driver`. `started_s` is of `time.perf_counter`. A `probe` is answered
        like any other request, needs no credentials and is not recorded.
        """
        decision_id = new_decision_id()
        live: LiveRoute | None = None
        try:
            if method != "POST":
                raise WrongMethod(f"{path} takes POST, not {method}.")
            target = _target(path)
            live = self.reception.find(target.route, None if probe else headers)
            request = _decode(target, headers, self._plain(headers, body), live)
            call = self.reception.call(
                live,
                headers,
                request,
                decision_id=decision_id,
                started_s=started_s,
                version=target.version,
                probe=probe,
            )
            answer = await self.reception.predict(live, call)
            route, live = live.route.name, None  # recorded: whatever is refused from here on was answered by an arm
            return _success(target, headers, decision_id, request, answer, route)
        except tuple(STATUS_OF) as error:
            if not probe:
                self.reception.refuse(error, live, decision_id, started_s)
            return refusal(error, decision_id)
        except Exception:  # noqa: BLE001  # a fault of ours: the caller still gets a sentence
            _log.exception("gateway.predict.failed", path=path)
            return _response(500, v2_http.encode_error("The gateway failed; its log says why."), [])

    async def _infer(self, scope: Scope, receive: Receive, path: str) -> Response:
        """Reads the body first; gives up when the client does."""
        started_s = time.perf_counter()
        headers = dict(scope["headers"])
        try:
            body = await read_body(receive, headers, self.max_body_bytes)
        except tuple(STATUS_OF) as error:
            return self._refuse_unread(error, headers, path, started_s)
        work = asyncio.ensure_future(run_in_task(self.answer(scope["method"], path, headers, body, started_s)))
        left = asyncio.ensure_future(receive())
        try:
            await asyncio.wait((work, left), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                raise ClientDisconnected
            return work.result()
        finally:
            left.cancel()

    def _refuse_unread(self, error: Exception, headers: Headers, path: str, started_s: float) -> Response:
        """Says what is wrong with a body; first of all, whether its sender may send any."""
        decision_id = new_decision_id()
        try:
            self.reception.refuse(error, self.reception.find(_target(path).route, headers), decision_id, started_s)
        except tuple(STATUS_OF) as other:
            error = other
        response = refusal(error, decision_id)
        if b"expect" in headers:  # the body may come all the same, or not: the next request could not be told from it
            response.headers.append(_CLOSE)
        return response

    def _plain(self, headers: Headers, body: bytes | memoryview) -> bytes | memoryview:
        encoding = headers.get(b"content-encoding")
        return body if encoding is None else decompress(bytes(body), encoding, self.max_body_bytes)


def is_prediction(path: str) -> bool:
    """Whether the door answers this path, and not the application behind it."""
    if path.startswith(_V2):
        return path.endswith(_INFER, len(_V2)) or path.endswith("/infer/", len(_V2))
    return path.startswith(_V1) and path.endswith(_PREDICT)


def refusal(error: Exception, decision_id: str) -> Response:
    """An error as an answer."""
    extra: list[Header] = [(b"x-decision-id", decision_id.encode()), *advice_of(error)]
    return _response(status_of(error).http, v2_http.encode_error(str(error)), extra)


@lru_cache(maxsize=1024)
def _target(path: str) -> Target:
    """Protocol, route and pinned version of a prediction's path."""
    if path.startswith(_V1):
        route = path[len(_V1) :].removesuffix(_PREDICT)
        if "/" not in route:
            return Target(True, route, None)
        raise UnknownRoute(f"{path} is not of the form /v1/models/ROUTE:predict.")
    parts = path.rstrip("/").split("/")
    if len(parts) == 5 and parts[3]:
        return Target(False, parts[3], None)
    if len(parts) == 7 and parts[4] == "versions" and parts[3] and parts[5]:
        return Target(False, parts[3], parts[5])
    raise UnknownRoute(f"{path} is not of the form /v2/models/ROUTE[/versions/VERSION]/infer.")


def _decode(target: Target, headers: Headers, body: bytes | memoryview, live: LiveRoute) -> InferenceRequest:
    if target.is_v1:
        return v1_http.decode(body, live.signature)
    length = headers.get(b"inference-header-content-length")
    header_length = None if length is None else v2_http.parse_header_length(length, len(body))
    return v2_http.decode(body, header_length, live.signature)


def _success(
    target: Target, asked: Headers, decision_id: str, request: InferenceRequest, answer: Answer, route: str
) -> Response:
    arm = answer.arm
    headers = [(b"x-decision-id", decision_id.encode()), (b"x-reason", answer.reason.encode()), *arm.headers]
    if answer.propensity is not None:
        headers.append((b"x-propensity", repr(answer.propensity).encode()))
    answered = answered_with(route, request, decision_id, answer)
    header_length: int | None = None
    if target.is_v1:
        content = v1_http.encode(answered, request, arm.signature, answer.tensors)
    else:
        content, header_length = v2_http.encode(answered, request, arm.signature, answer.tensors)
    if header_length is not None:
        headers.append((b"inference-header-content-length", str(header_length).encode()))
    accepted = asked.get(b"accept-encoding")
    if accepted is not None and len(content) >= _WORTH_COMPRESSING_BYTES:
        encoding = choose(accepted)
        if encoding is not None:
            content = compress(content, encoding)
            headers += ((b"content-encoding", encoding.encode()), (b"vary", b"accept-encoding"))
    return _response(200, content, headers, _JSON if header_length is None else _BINARY)


def _response(status: int, content: bytes, extra: list[Header], kind: Header = _JSON) -> Response:
    return Response(status, content, [kind, (b"content-length", str(len(content)).encode()), *extra])


def _closing(send: Send) -> Send:
    """Tells keep-alive clients to leave: this replica is about to."""

    async def send_and_close(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], _CLOSE]}
        await send(message)

    return send_and_close
