"""Predictions over HTTP, in front of the FastAPI application: decode, infer, encode.

No framework, no validation library and no log call on this path. `InferenceEndpoint.respond` does all of it. The
ASGI application calls it, and `gateway.http.connection` does so without a task.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.access.browser import BrowserPolicy
from gateway.access.browser_middleware import cors_headers, preflight_headers
from gateway.errors import STATUS_OF, CrossOrigin, WrongMethod
from gateway.eventloop.body_budget import SMALL_BYTES, BodyBudget, Holding
from gateway.eventloop.driver import Pending, run_in_task
from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.eventloop.offload import Offload
from gateway.http.body import ClientDisconnected, read_body
from gateway.http.content_work import ContentWork, HeldBody
from gateway.http.head import fields_by_name
from gateway.http.health import health_response
from gateway.http.kept_bodies import with_kept_bodies
from gateway.http.limits import HttpLimits, http_limits
from gateway.http.response import CLOSE, Response, closing_if_expected, refusal, response_of
from gateway.http.scoring import Targets, refusal_at
from gateway.inference.payloads import Payloads
from gateway.inference.service import InferenceService, new_decision_id
from gateway.protocols import v2_http
from gateway.protocols.paths import is_prediction
from gateway.protocols.request import Headers, InferenceRequest
from gateway.settings import Settings
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
        limits: HttpLimits | None = None,
        budget: BodyBudget | None = None,
        offload: Offload | None = None,
        invocations_route: str = "",
        payloads: Payloads | None = None,
    ) -> None:
        self.draining = False
        self.unready: Callable[[], str] = str
        self.turn = turn
        self.max_body_bytes = max_body_bytes
        self.limits = limits or http_limits(Settings())
        self.service = service
        self.budget = budget or BodyBudget(SMALL_BYTES + 16 * max_body_bytes)
        self._content = ContentWork(offload or Offload(), max_body_bytes)
        self._targets = Targets(service, invocations_route)
        self._payloads = payloads
        self._app = app
        self._browsers = browsers or BrowserPolicy(None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to predictions and to Ray Serve's health check; pass everything else on to FastAPI."""
        path: str = scope.get("path", "")
        if scope["type"] == "http" and is_prediction(path):
            holding = Holding(self.budget)
            try:
                response = await self._receive_and_respond(scope, receive, path, holding)
            except ClientDisconnected:
                return
            finally:
                holding.close()
        elif path == "/-/healthz":
            method, headers = scope["method"], dict(scope["headers"])
            work = health_response(method, "draining" if self.draining else self.unready())
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
        holding: Holding | None = None,
        *,
        probe: bool = False,
    ) -> Coroutine[Any, Any, Response]:
        """Return the response to one prediction, from the body's bytes. Raises nothing: errors are responses, too.

        Run the coroutine with `gateway.eventloop.driver`. `started_s` is of `time.perf_counter`. `holding` counts what
        the request takes of the budget; the writer of the response releases it. A `probe` is the replica's own request:
        it needs no credentials and is not recorded.
        """
        work = self._respond(method, path, headers, [body], started_s, holding or Holding(self.budget), probe=probe)
        if self._payloads is not None and self._payloads.routes() and not probe:
            work = with_kept_bodies(work, self._payloads, self._targets, path, headers, body)
        return self._respond_to_page(method, path, headers, work) if _is_of_page(headers) else work

    async def _respond_to_page(
        self, method: str, path: str, headers: Headers, work: Coroutine[Any, Any, Response]
    ) -> Response:
        """Return the response to a request that a web page caused."""
        allowed = preflight_headers(method, headers) if self._browsers.is_listed(headers) else None
        try:
            self._browsers.require(method, path, headers)
        except CrossOrigin as error:
            response = refusal(error, new_decision_id())
        else:
            response = await work if allowed is None else Response(204, b"", allowed)
        work.close()  # it may not have begun
        response.headers.extend(cors_headers(self._browsers, headers))
        return response

    async def _respond(
        self,
        method: str,
        path: str,
        headers: Headers,
        body: HeldBody,
        started_s: float,
        holding: Holding,
        *,
        probe: bool,
    ) -> Response:
        decision_id = new_decision_id()
        try:
            if method != "POST":
                raise WrongMethod(f"{path} takes POST, not {method}.")
            target, headers = self._targets.find(path, headers)
            prediction = await self.service.infer(
                target.route,
                headers,
                partial(self._content.decode, target, headers, body, holding),
                decision_id=decision_id,
                started_s=started_s,
                version=target.version,
                probe=probe,
                door=target.door,
            )
            response = self._content.encode(target, headers, decision_id, prediction, holding)
            return await response if isinstance(response, Pending) else response
        except tuple(STATUS_OF) as error:
            return refusal_at(path, error, decision_id)
        except Exception:  # noqa: BLE001  # a fault of ours: the caller still gets a sentence
            _log.exception("gateway.predict.failed", path=path)
            return response_of(500, v2_http.encode_error("The gateway failed; its log says why."), [])
        finally:
            body.clear()  # if the client left, the work may wait for a thread, and nothing would free the body

    def refuse_early(self, method: str, path: str, headers: Headers, holding: Holding) -> Response | None:
        """Return the refusal of a request whose body need not be read. None: it has to be read.

        The caller may not use the route, or the replica holds too many bytes for the body. The caller's rate is not
        counted here.
        """
        is_of_page = _is_of_page(headers)
        if is_of_page and self._browsers.is_listed(headers) and preflight_headers(method, headers) is not None:
            return None
        try:
            if is_of_page:
                self._browsers.require(method, path, headers)
            target, translated = self._targets.find(path, headers)
            self.service.check_caller(target.route, translated)
            length = headers.get(b"content-length", b"")
            if length.isdigit() and int(length) <= self.max_body_bytes:
                holding.require(int(length))
        except tuple(STATUS_OF) as error:
            response = refusal_at(path, error, new_decision_id())
            if is_of_page:
                response.headers.extend(cors_headers(self._browsers, headers))
            return response
        return None

    async def _receive_and_respond(self, scope: Scope, receive: Receive, path: str, holding: Holding) -> Response:
        """Read the body, then respond. Cancel the work when the client leaves."""
        started_s = time.perf_counter()
        headers = fields_by_name(scope["headers"])
        refused = self.refuse_early(scope["method"], path, headers, holding)
        if refused is not None:
            return closing_if_expected(refused, headers)
        try:
            body = await read_body(receive, headers, self.max_body_bytes, holding)
        except tuple(STATUS_OF) as error:
            return await self._refuse_unread(error, headers, path, started_s)
        respond = self.respond(scope["method"], path, headers, memoryview(body), started_s, holding)
        del body
        work = asyncio.ensure_future(run_in_task(respond))
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
            target, headers = self._targets.find(path, headers)
            await self.service.infer(
                target.route, headers, decode, decision_id=decision_id, started_s=started_s, door=target.door
            )
        except tuple(STATUS_OF) as raised:
            error = raised
        return closing_if_expected(refusal_at(path, error, decision_id), headers)


def _is_of_page(headers: Headers) -> bool:
    """Return True if a browser sent the request. It sends one of these headers with every POST of a page."""
    return b"origin" in headers or b"sec-fetch-site" in headers


def _closing(send: Send) -> Send:
    """Return a `send` that tells keep-alive clients to close the connection, because this replica is about to end."""

    async def send_and_close(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], CLOSE]}
        await send(message)

    return send_and_close
