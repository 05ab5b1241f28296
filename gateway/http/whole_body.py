"""Reads a request's body, up to a limit, before a handler sees it. A plain ASGI middleware. Acts.

The limit that the framework offers answers plain text; here too an error is JSON, with the class in its header.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import Response

from gateway.errors import ERROR_HEADER, BadRequest, TooLarge, status_of
from gateway.http.body import ClientDisconnected, Message, Receive, read_body
from gateway.protocols.v2_http import encode_error

_HAVE_A_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class BodyLimit:
    """Around one application."""

    def __init__(self, app: Callable[..., Awaitable[None]], max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Any, receive: Receive, send: Callable[[Message], Awaitable[None]]) -> None:
        """The ASGI application."""
        if scope["type"] != "http" or scope["method"] not in _HAVE_A_BODY:
            await self._app(scope, receive, send)
            return
        try:
            body = await read_body(receive, dict(scope["headers"]), self._max_bytes)
        except ClientDisconnected:
            return
        except (BadRequest, TooLarge) as error:
            headers = {ERROR_HEADER: type(error).__name__}
            answer = Response(encode_error(str(error)), status_of(error).http, headers, media_type="application/json")
            await answer(scope, receive, send)
            return
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return messages.pop() if messages else await receive()

        await self._app(scope, replay, send)
