"""The body of a request that has its response before the body is here: a short rest is dropped, a long one is not read.

A client learns from `Connection: close` that it must not use the connection again. It may still be sending, and then it
does not read yet. It would lose the response if the connection were closed at once, so the connection lingers.
"""

from typing import Any

from starlette.types import Message, Receive, Scope, Send

from gateway.http.limits import DROPPED_BYTES
from gateway.protocols.request import Headers


def is_long(headers: Headers) -> bool:
    """Return True if a body is too long to be dropped, or may be."""
    length = headers.get(b"content-length")
    return length is None or not length.isdigit() or int(length[:18]) > DROPPED_BYTES


def ending_if_unread(app: Any, cycle: Any, connection: Any) -> Any:
    """Return the application that ends the connection if it responds before the long body of `cycle` is here."""
    if not cycle.more_body or not is_long(dict(cycle.scope["headers"])):
        return app

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        ends = False

        async def send_and_end(message: Message) -> None:
            nonlocal ends
            if message["type"] == "http.response.start":
                ends = cycle.more_body
                cycle.keep_alive = cycle.keep_alive and not ends  # uvicorn adds the header
            elif ends and not message.get("more_body", False):
                cycle.keep_alive = True  # uvicorn would close the connection at once
                await send(message)
                connection.linger()
                return
            await send(message)

        await app(scope, receive, send_and_end)

    return respond
