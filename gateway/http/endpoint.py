"""Predictions over HTTP, in front of the FastAPI application: decode, infer, encode.

No framework, no validation library and no log call on this path. `InferenceEndpoint.respond` does all of it. The
ASGI application calls it, and `gateway.http.connection` does so without a task.
"""

import asyncio
import time
from collections.abc import Coroutine
from functools import partial
from typing import Any, NamedTuple

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.access.browser import BrowserPolicy
from gateway.access.browser_middleware import cors_headers, preflight_headers
from gateway.errors import STATUS_OF, CrossOrigin, WrongMethod, advice_of, status_of
from gateway.eventloop.driver import run_in_task
from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.http.body import ClientDisconnected, read_body
from gateway.inference.service import InferenceService, Prediction, new_decision_id
from gateway.protocols import v1_http, v2_http
from gateway.protocols.compression import choose, compress, decompress
from gateway.protocols.paths import PredictionPath, is_prediction, parse_path
from gateway.protocols.request import Header, Headers, InferenceRequest
from runtimes.manifest import Signature

_log = structlog.get_logger()

_WORTH_COMPRESSING_BYTES = 1024
_JSON: Header = (b"content-type", b"application/json")
_BINARY: Header = (b"content-type", b"application/octet-stream")
_TEXT: Header = (b"content-type", b"text/plain; charset=utf-8")
_CLOSE: Header = (b"connection", b"close")


class Response(NamedTuple):
    """A whole response."""

    status: int
    content: bytes
    headers: list[Header]


class InferenceEndpoint:
    """The ASGI application of one replica."""

    def __init__(
        self,
        service: InferenceService,
        app: ASGIApp,
        turn: EndOfTurn,
        browsers: BrowserPolicy | None = None,
        *,
        max_body_bytes: int,
    ) -> None:
        self.draining = False
        self.turn = turn
        self.max_body_bytes = max_body_bytes
        self.service = service
        self._app = app
        self._browsers = browsers or BrowserPolicy(None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to predictions and to Ray Serve's health check; pass everything else on to FastAPI."""
        path: str = scope.get("path", "")
        if scope["type"] == "http" and is_prediction(path):
            try:
                response = await self._receive_and_respond(scope, receive, path)
            except ClientDisconnected:
                return
        elif path == "/-/healthz":
            method, headers = scope["method"], dict(scope["headers"])
            work = self._health(method)
            response = await (self._respond_to_page(method, path, headers, work) if _is_of_page(headers) else work)
        else:
            await self._app(scope, receive, _closing(send) if self.draining else send)
            return
        closing = [_CLOSE] if self.draining else []
        await send({"type": "http.response.start", "status": response.status, "headers": response.headers + closing})
        await send({"type": "http.response.body", "body": response.content})

    def respond(
        self,
        method: str,
        path: str,
        headers: Headers,
        body: bytes | memoryview,
        started_s: float,
        *,
        probe: bool = False,
    ) -> Coroutine[Any, Any, Response]:
        """Return the response to one prediction, from the body's bytes. Raises nothing: errors are responses, too.

        Run the coroutine with `gateway.eventloop.driver`. `started_s` is of `time.perf_counter`. A `probe` is the
        replica's own request: it needs no credentials and is not recorded.
        """
        work = self._respond(method, path, headers, body, started_s, probe=probe)
        return self._respond_to_page(method, path, headers, work) if _is_of_page(headers) else work

    async def _respond_to_page(
        self, method: str, path: str, headers: Headers, work: Coroutine[Any, Any, Response]
    ) -> Response:
        """Return the response to a request that a web page caused."""
        is_listed = self._browsers.is_listed(headers)
        allowed = preflight_headers(method, headers) if is_listed else None
        try:
            self._browsers.require(method, path, headers)
        except CrossOrigin as error:
            response = refusal(error, new_decision_id())
        else:
            response = await work if allowed is None else Response(204, b"", allowed)
        work.close()  # it may not have begun
        if is_listed:
            response.headers.extend(cors_headers(headers))
        return response

    async def _respond(
        self, method: str, path: str, headers: Headers, body: bytes | memoryview, started_s: float, *, probe: bool
    ) -> Response:
        decision_id = new_decision_id()
        try:
            if method != "POST":
                raise WrongMethod(f"{path} takes POST, not {method}.")
            target = parse_path(path)
            prediction = await self.service.infer(
                target.route,
                headers,
                partial(_decode, target, headers, body, self.max_body_bytes),
                decision_id=decision_id,
                started_s=started_s,
                version=target.version,
                probe=probe,
            )
            return _success(target, headers, decision_id, prediction)
        except tuple(STATUS_OF) as error:
            return refusal(error, decision_id)
        except Exception:  # noqa: BLE001  # a fault of ours: the caller still gets a sentence
            _log.exception("gateway.predict.failed", path=path)
            return _response(500, v2_http.encode_error("The gateway failed; its log says why."), [])

    async def _health(self, method: str) -> Response:
        if method not in ("GET", "HEAD"):
            return refusal(WrongMethod(f"/-/healthz takes GET, not {method}.", allow="GET, HEAD"), new_decision_id())
        status, content = (503, b"draining") if self.draining else (200, b"success")
        return _response(status, content, [], _TEXT)

    async def _receive_and_respond(self, scope: Scope, receive: Receive, path: str) -> Response:
        """Read the body, then respond. Cancel the work when the client leaves."""
        started_s = time.perf_counter()
        headers = dict(scope["headers"])
        try:
            body = await read_body(receive, headers, self.max_body_bytes)
        except tuple(STATUS_OF) as error:
            return await self._refuse_unread(error, headers, path, started_s)
        work = asyncio.ensure_future(run_in_task(self.respond(scope["method"], path, headers, body, started_s)))
        left = asyncio.ensure_future(receive())
        try:
            await asyncio.wait((work, left), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                raise ClientDisconnected
            return work.result()
        finally:
            left.cancel()

    async def _refuse_unread(self, unreadable: Exception, headers: Headers, path: str, started_s: float) -> Response:
        """Respond to a request whose body could not be read. A caller who may not use the route learns that instead."""

        def decode(_: Signature) -> InferenceRequest:
            raise unreadable

        decision_id = new_decision_id()
        error = unreadable
        try:
            route = parse_path(path).route
            await self.service.infer(route, headers, decode, decision_id=decision_id, started_s=started_s)
        except tuple(STATUS_OF) as raised:
            error = raised
        response = refusal(error, decision_id)
        if b"expect" in headers:  # the client may send the body or not, so the next request could not be told from it
            response.headers.append(_CLOSE)
        return response


def _is_of_page(headers: Headers) -> bool:
    """Return True if a browser sent the request. It sends one of these headers with every POST of a page."""
    return b"origin" in headers or b"sec-fetch-site" in headers


def refusal(error: Exception, decision_id: str) -> Response:
    """Return the response to an error."""
    extra: list[Header] = [(b"x-decision-id", decision_id.encode()), *advice_of(error)]
    return _response(status_of(error).http, v2_http.encode_error(str(error)), extra)


def _decode(
    target: PredictionPath, headers: Headers, body: bytes | memoryview, max_bytes: int, signature: Signature
) -> InferenceRequest:
    encoding = headers.get(b"content-encoding")
    if encoding is not None:
        body = decompress(bytes(body), encoding, max_bytes)
    if target.is_v1:
        return v1_http.decode(body, signature)
    length = headers.get(b"inference-header-content-length")
    header_length = None if length is None else v2_http.parse_header_length(length, len(body))
    return v2_http.decode(body, header_length, signature)


def _success(target: PredictionPath, request_headers: Headers, decision_id: str, prediction: Prediction) -> Response:
    request, answer, meta = prediction
    arm = answer.arm
    headers = [(b"x-decision-id", decision_id.encode()), (b"x-reason", answer.reason.encode()), *arm.headers]
    if answer.propensity is not None:
        headers.append((b"x-propensity", repr(answer.propensity).encode()))
    header_length: int | None = None
    if target.is_v1:
        content = v1_http.encode(meta, request, arm.signature, answer.tensors)
    else:
        content, header_length = v2_http.encode(meta, request, arm.signature, answer.tensors)
    if header_length is not None:
        headers.append((b"inference-header-content-length", str(header_length).encode()))
    accepted = request_headers.get(b"accept-encoding")
    if accepted is not None and len(content) >= _WORTH_COMPRESSING_BYTES:
        encoding = choose(accepted)
        if encoding is not None:
            content = compress(content, encoding)
            headers += ((b"content-encoding", encoding.encode()), (b"vary", b"accept-encoding"))
    return _response(200, content, headers, _JSON if header_length is None else _BINARY)


def _response(status: int, content: bytes, extra: list[Header], kind: Header = _JSON) -> Response:
    return Response(status, content, [kind, (b"content-length", str(len(content)).encode()), *extra])


def _closing(send: Send) -> Send:
    """Return a `send` that tells keep-alive clients to close the connection, because this replica is about to end."""

    async def send_and_close(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], _CLOSE]}
        await send(message)

    return send_and_close
