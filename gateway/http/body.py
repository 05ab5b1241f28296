"""Reads a request's body, up to a limit. Acts."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from gateway.errors import BadRequest, TooLarge

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

# A client that is still sending does not read: so its body is read to the end, unseen, before it is told off.
_DISCARD_FACTOR = 16


class ClientDisconnected(Exception):
    """The client left before its request was complete; there is nobody to answer."""


async def read_body(receive: Receive, headers: Mapping[bytes, bytes], max_bytes: int) -> bytes:
    """The whole body.

    Raises:
        TooLarge: it is longer than `max_bytes`; nothing beyond that was kept in memory.
        BadRequest: Content-Length is not a number.
        ClientDisconnected: the connection closed first.
    """
    declared = headers.get(b"content-length")
    if declared is not None and not declared.isdigit():
        raise BadRequest("Content-Length is not a number.")
    if declared is not None and int(declared) > max_bytes:
        # Who waits for 100 Continue has sent nothing yet, and is answered at once.
        if b"expect" not in headers and int(declared) <= max_bytes * _DISCARD_FACTOR:
            await _discard(receive, max_bytes)
        raise _too_large(max_bytes)
    message = await _next(receive)
    body: bytes = message.get("body", b"")
    chunks, size = [body], len(body)
    while size <= max_bytes and message.get("more_body", False):
        message = await _next(receive)
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
    if size > max_bytes:
        if message.get("more_body", False):
            await _discard(receive, max_bytes)
        raise _too_large(max_bytes)
    return body if len(chunks) == 1 else b"".join(chunks)


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
