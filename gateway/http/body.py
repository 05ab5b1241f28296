"""Read request bodies up to a limit: as a function, and as an ASGI middleware."""

from collections.abc import Mapping

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import ERROR_HEADER, BadRequest, Overloaded, TooLarge, status_of
from gateway.eventloop.body_budget import Holding
from gateway.protocols.v2_http import encode_error

# A client that is still sending does not read. So a body that is too large is read to its end and dropped before the
# 413 is sent, unless it is longer than this many times the limit.
_DISCARD_FACTOR = 16

_METHODS_WITH_A_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class ClientDisconnected(Exception):
    """The client disconnected before its request was complete, so no response can be sent."""


async def read_body(
    receive: Receive, headers: Mapping[bytes, bytes], max_bytes: int, holding: Holding | None = None
) -> bytes | bytearray:
    """Return the whole body. `holding` counts what has arrived.

    Raises:
        TooLarge: it is longer than `max_bytes`; nothing beyond that was kept in memory.
        BadRequest: Content-Length is not a number.
        Overloaded: the replica holds too many bytes.
        ClientDisconnected: the connection closed first.
    """
    declared = headers.get(b"content-length")
    if declared is not None and not declared.isdigit():
        raise BadRequest("Content-Length is not a number.")
    if declared is not None and int(declared) > max_bytes:
        # A client that waits for 100 Continue has sent nothing yet, so the response can be sent at once.
        if b"expect" not in headers and int(declared) <= max_bytes * _DISCARD_FACTOR:
            await _discard(receive, max_bytes)
        raise _too_large(max_bytes)
    message = await _next(receive)
    first: bytes = message.get("body", b"")
    if len(first) <= max_bytes and not message.get("more_body", False):
        return first
    body, part = bytearray(), first
    while len(body) + len(part) <= max_bytes:
        if holding is not None:
            try:
                holding.add(len(part))
            except Overloaded:
                del body
                await _discard(receive, max_bytes)
                raise
        body += part
        if not message.get("more_body", False):
            return body
        message = await _next(receive)
        part = message.get("body", b"")
    if message.get("more_body", False):
        del body
        await _discard(receive, max_bytes)
    raise _too_large(max_bytes)


async def _next(receive: Receive) -> Message:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnected
    return message


async def _discard(receive: Receive, max_bytes: int) -> None:
    left = max_bytes * _DISCARD_FACTOR
    while left > 0:
        message = await _next(receive)
        if not message.get("more_body", False):
            return
        left -= len(message.get("body", b""))


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"The body is larger than {max_bytes} bytes; send fewer instances at a time.")


class BodyLimit:
    """A middleware that reads the whole body, up to a limit, before the application sees the request.

    The framework's own limit sends plain text. Here, as everywhere, an error is JSON, with its class in `x-error`.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI request."""
        if scope["type"] != "http" or scope["method"] not in _METHODS_WITH_A_BODY:
            await self._app(scope, receive, send)
            return
        try:
            body = await read_body(receive, dict(scope["headers"]), self._max_bytes)
        except ClientDisconnected:
            return
        except (BadRequest, TooLarge) as error:
            headers = {ERROR_HEADER: type(error).__name__}
            response = Response(encode_error(str(error)), status_of(error).http, headers, media_type="application/json")
            await response(scope, receive, send)
            return
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return messages.pop() if messages else await receive()

        await self._app(scope, replay, send)
