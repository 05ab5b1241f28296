"""A response to a client that has closed its sending side.

After a FIN we cannot tell whether the client closed the connection or only its sending side. The packets are the same.
The difference shows when we write: a client that closed the connection replies with a reset, and its work can then be
cancelled. So the first nine bytes, which are the same for every response, are written as soon as the FIN arrives.

The event loop does not report that reset, because it reads no more from this connection and writes nothing until the
response is ready. So the socket's error is looked up every 50 ms.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

_BEGINNING = b"HTTP/1.1 "
_CHECK_EVERY_S = 0.05


class HalfClosed:
    """Replaces the transport for one response, which is the connection's last.

    `is_complete` returns True once that response has been written.
    """

    def __init__(self, transport: asyncio.Transport, is_complete: Callable[[], bool]) -> None:
        self._transport = transport
        self._is_complete = is_complete
        self._has_begun = False
        self._loop = asyncio.get_running_loop()
        transport.write(_BEGINNING)
        self._loop.call_later(_CHECK_EVERY_S, self._check)

    def write(self, content: bytes) -> None:
        """Write a part of the response; of the first part, leave out the bytes that were written already."""
        self._transport.write(content if self._has_begun else content[len(_BEGINNING) :])
        self._has_begun = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _check(self) -> None:
        """Abort the connection if the client has reset it, otherwise check again later."""
        if self._is_complete() or self._transport.is_closing():
            return
        if self._transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._transport.abort()
        else:
            self._loop.call_later(_CHECK_EVERY_S, self._check)
