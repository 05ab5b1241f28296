"""A method of a gRPC service."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from gateway.grpc.http2.headers import HeaderMap

Work = Coroutine[Any, None, bytes]
Respond = Callable[[bytes, HeaderMap], Work]
"""Takes a message and the call's metadata, returns the response's message. Raises `GatewayError` or `Failed`."""


@dataclass(frozen=True, slots=True)
class Method:
    """How the calls for one path are handled.

    `is_stream`: each message gets a response, in order, until the client sends no more. `is_watch`: the call stays open
    after the response to its one message, and gets another one when the response changes (`GrpcConnection.renew`).
    """

    respond: Respond
    is_stream: bool = False
    is_watch: bool = False
