"""A method of a gRPC service."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from gateway.eventloop.body_budget import Holding
from gateway.grpc.http2.headers import HeaderMap

Work = Coroutine[Any, None, bytes]
Respond = Callable[[bytes, HeaderMap], Work]
"""Takes a message and the call's metadata, returns the response's message. Raises `GatewayError` or `Failed`."""

HeldMessage = list[bytes | memoryview]
"""A message, until the thread that parses it takes it out."""
RespondLarge = Callable[[HeldMessage, HeaderMap, Holding], Work]
"""Does the same for a large message, of which it takes what is long to threads. `Holding` counts what it holds."""
SMALL_MESSAGE_BYTES = 16 * 1024
"""The longest message of methods that take names only, some of them from every caller."""
CheckCaller = Callable[[HeaderMap], None]
"""Raises `GatewayError` if a call's metadata have no credential with which it may be made."""


@dataclass(frozen=True, slots=True)
class Method:
    """How the calls for one path are handled.

    `is_stream`: each message gets a response, in order, until the client sends no more. `is_watch`: the call stays open
    after the response to its one message, and gets another one when the response changes (`GrpcConnection.renew`).
    `respond_large` is for methods that take large messages. `check_caller` is asked before any of the call's body is
    read. `max_message_bytes` is None if a message may be as long as the port's limit.
    """

    respond: Respond
    is_stream: bool = False
    is_watch: bool = False
    respond_large: RespondLarge | None = None
    check_caller: CheckCaller | None = None
    max_message_bytes: int | None = None
