"""Predictions over HTTP, in front of the FastAPI application: decode, infer, encode.

No framework, no validation library and no log call on this path. `InferenceEndpoint.respond` does all of it. The
ASGI application calls it, and `gateway.http.connection` does so without a task.
"""

import asyncio
import time
from functools import partial
from typing import NamedTuple

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import STATUS_OF, WrongMethod, advice_of, status_of
from gateway.eventloop.driver import Pending, run_in_task
from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.eventloop.offload import LARGE_BYTES, Offload
from gateway.http.body import ClientDisconnected, read_body
from gateway.http.head import fields_by_name
from gateway.http.limits import HttpLimits
from gateway.inference.service import InferenceService, Prediction, new_decision_id
from gateway.protocols import v1_http, v2_http
from gateway.protocols.compression import choose, compress, decompress
from gateway.protocols.paths import PredictionPath, is_prediction, parse_path
from gateway.protocols.request import Header, Headers, InferenceRequest
from runtimes.datatypes import BYTES, total_bytes
from runtimes.manifest import Signature

_log = structlog.get_logger()

_WORTH_COMPRESSING_BYTES = 1024
_SLOW_TO_ENCODE = 4096
"""So many numbers take about 20 to 80 kB as JSON. zlib takes a millisecond for 20 to 50 kB."""
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to predictions and to Ray Serve's health check; pass everything else on to FastAPI."""
        path: str = scope.get("path", "")
        if scope["type"] == "http" and is_prediction(path):
            try:
                response = await self._receive_and_respond(scope, receive, path)
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

    async def respond(
        self,
        method: str,
        path: str,
        headers: Headers,
        body: bytes | memoryview,
        started_s: float,
        *,
        probe: bool = False,
    ) -> Response:
        """Return the response to one prediction, from the body's bytes. Raises nothing: errors are responses, too.

        Run the coroutine with `gateway.eventloop.driver`. `started_s` is of `time.perf_counter`. A `probe` is the
        replica's own request: it needs no credentials and is not recorded.
        """
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
            if _is_slow_to_encode(headers, prediction):
                return await self._offload.run(partial(_success, target, headers, decision_id, prediction))
            return _success(target, headers, decision_id, prediction)
        except tuple(STATUS_OF) as error:
            return refusal(error, decision_id)
        except Exception:  # noqa: BLE001  # a fault of ours: the caller still gets a sentence
            _log.exception("gateway.predict.failed", path=path)
            return _response(500, v2_http.encode_error("The gateway failed; its log says why."), [])

    def refuse_caller(self, path: str, headers: Headers) -> Response | None:
        """Return the refusal of a caller who may not use the route, before the body is read. None: the caller may.

        The caller's rate is not counted here.
        """
        try:
            self.service.check_caller(parse_path(path).route, headers)
        except tuple(STATUS_OF) as error:
            return refusal(error, new_decision_id())
        return None

    def _decode(
        self, target: PredictionPath, headers: Headers, body: bytes | memoryview, signature: Signature
    ) -> InferenceRequest | Pending[InferenceRequest]:
        """Decode a body: here if it is small, otherwise in a thread."""
        work = partial(_decode, target, headers, body, self.max_body_bytes, signature)
        if _is_slow_to_decode(headers, len(body), signature):
            return self._offload.run(work)
        return work()

    async def _receive_and_respond(self, scope: Scope, receive: Receive, path: str) -> Response:
        """Read the body, then respond. Cancel the work when the client leaves."""
        started_s = time.perf_counter()
        headers = fields_by_name(scope["headers"])
        refused = self.refuse_caller(path, headers)
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


def refusal(error: Exception, decision_id: str) -> Response:
    """Return the response to an error."""
    extra: list[Header] = [(b"x-decision-id", decision_id.encode()), *advice_of(error)]
    return _response(status_of(error).http, v2_http.encode_error(str(error)), extra)


def closing_refusal(error: Exception) -> Response:
    """Return the response to bytes that are no request, after which the connection ends."""
    return _response(status_of(error).http, v2_http.encode_error(str(error)), [*advice_of(error), _CLOSE])


def _closing_if_expected(response: Response, headers: Headers) -> Response:
    if b"expect" in headers:  # the client may send the body or not, so the next request could not be told from it
        response.headers.append(_CLOSE)
    return response


def _is_slow_to_decode(headers: Headers, body_bytes: int, signature: Signature) -> bool:
    """Return True if decoding may take above a millisecond. Only the bytes of binary numbers cost nothing."""
    if b"content-encoding" in headers:
        return True
    if body_bytes <= LARGE_BYTES:
        return False
    json_bytes = headers.get(b"inference-header-content-length", b"")
    return (
        not json_bytes.isdigit()
        or int(json_bytes) > LARGE_BYTES
        or any(spec.datatype == "BYTES" for spec in signature.inputs)
    )


def _is_slow_to_encode(headers: Headers, prediction: Prediction) -> bool:
    """Return True if encoding may take above a millisecond. Binary outputs are only copied, unless they are packed."""
    large = [
        tensor.size > _SLOW_TO_ENCODE or (tensor.dtype == BYTES and total_bytes((tensor,)) > LARGE_BYTES)
        for tensor in prediction.answer.tensors
    ]
    if True not in large:
        return False
    outputs = prediction.request.outputs
    return outputs is None or b"accept-encoding" in headers or not all(output.binary for output in outputs)


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
            packed = compress(content, encoding)
            headers.append((b"vary", b"accept-encoding"))
            if packed is not None:
                content = packed
                headers.append((b"content-encoding", encoding.encode()))
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
