"""Predictions over HTTP, in front of the FastAPI application: decode, infer, encode.

No framework, no validation library and no log call on this path. `InferenceEndpoint.respond` does all of it. The
ASGI application calls it, and `gateway.http.connection` does so without a task.
"""

import asyncio
import time
from collections.abc import Coroutine
from functools import partial
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.access.browser import BrowserPolicy
from gateway.access.browser_middleware import cors_headers, preflight_headers
from gateway.errors import STATUS_OF, CrossOrigin, WrongMethod
from gateway.eventloop.driver import Pending, run_in_task
from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.eventloop.offload import Offload
from gateway.http.body import ClientDisconnected, read_body
from gateway.http.content import decode_body, encode_prediction, is_slow_to_decode, is_slow_to_encode
from gateway.http.head import fields_by_name
from gateway.http.limits import HttpLimits
from gateway.http.response import CLOSE, TEXT, Response, refusal, response_of
from gateway.inference.service import InferenceService, new_decision_id
from gateway.protocols import v2_http
from gateway.protocols.paths import PredictionPath, is_prediction, parse_path
from gateway.protocols.request import Headers, InferenceRequest
from runtimes.manifest import Signature

_log = structlog.get_logger()


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
        limits: HttpLimits = HttpLimits(),  # noqa: B008  # immutable
    ) -> None:
        self.draining = False
        self.turn = turn
        self.max_body_bytes = max_body_bytes
        self.limits = limits
        self.service = service
        self._offload = Offload()
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
        closing = [CLOSE] if self.draining else []
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
                partial(self._decode, target, headers, body),
                decision_id=decision_id,
                started_s=started_s,
                version=target.version,
                probe=probe,
            )
            if is_slow_to_encode(headers, prediction):
                return await self._offload.run(partial(encode_prediction, target, headers, decision_id, prediction))
            return encode_prediction(target, headers, decision_id, prediction)
        except tuple(STATUS_OF) as error:
            return refusal(error, decision_id)
        except Exception:  # noqa: BLE001  # a fault of ours: the caller still gets a sentence
            _log.exception("gateway.predict.failed", path=path)
            return response_of(500, v2_http.encode_error("The gateway failed; its log says why."), [])

    def refuse_caller(self, method: str, path: str, headers: Headers) -> Response | None:
        """Return the refusal of a caller who may not use the route, before the body is read. None: the caller may.

        The caller's rate is not counted here.
        """
        try:
            if _is_of_page(headers):
                self._browsers.require(method, path, headers)
                return None  # it may be a preflight, and its refusal has further headers
            self.service.check_caller(parse_path(path).route, headers)
        except tuple(STATUS_OF) as error:
            return refusal(error, new_decision_id())
        return None

    def _decode(
        self, target: PredictionPath, headers: Headers, body: bytes | memoryview, signature: Signature
    ) -> InferenceRequest | Pending[InferenceRequest]:
        """Decode a body: here if it is small, otherwise in a thread."""
        work = partial(decode_body, target, headers, body, self.max_body_bytes, signature)
        if is_slow_to_decode(headers, len(body), signature):
            return self._offload.run(work)
        return work()

    async def _health(self, method: str) -> Response:
        if method not in ("GET", "HEAD"):
            return refusal(WrongMethod(f"/-/healthz takes GET, not {method}.", allow="GET, HEAD"), new_decision_id())
        status, content = (503, b"draining") if self.draining else (200, b"success")
        return response_of(status, content, [], TEXT)

    async def _receive_and_respond(self, scope: Scope, receive: Receive, path: str) -> Response:
        """Read the body, then respond. Cancel the work when the client leaves."""
        started_s = time.perf_counter()
        headers = fields_by_name(scope["headers"])
        refused = self.refuse_caller(scope["method"], path, headers)
        if refused is not None:
            return _closing_if_expected(refused, headers)
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
        return _closing_if_expected(refusal(error, decision_id), headers)


def _is_of_page(headers: Headers) -> bool:
    """Return True if a browser sent the request. It sends one of these headers with every POST of a page."""
    return b"origin" in headers or b"sec-fetch-site" in headers


def _closing_if_expected(response: Response, headers: Headers) -> Response:
    if b"expect" in headers:  # the client may send the body or not, so the next request could not be told from it
        response.headers.append(CLOSE)
    return response


def _closing(send: Send) -> Send:
    """Return a `send` that tells keep-alive clients to close the connection, because this replica is about to end."""

    async def send_and_close(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], CLOSE]}
        await send(message)

    return send_and_close
