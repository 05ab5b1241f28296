"""A client that sends no more: has it left, or does it wait for its answer? Acts.

Both look alike: a connection that is closed, and one that is closed in one direction, say so with the same packet.
Only who writes learns more, for a client that has left answers with a reset. So the first bytes of the answer, which
are the same whatever it will be, are written at once.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

_BEGINNING = b"HTTP/1.1 "
_LOOK_EVERY_S = 0.05


class HalfClosed:
    """In the place of the transport of one answer, which will be the connection's last."""

    def __init__(self, transport: asyncio.Transport, is_over: Callable[[], bool]) -> None:
        self._transport = transport
        self._is_over = is_over
        self._has_begun = False
        self._loop = asyncio.get_running_loop()
        transport.write(_BEGINNING)
        self._loop.call_later(_LOOK_EVERY_S, self._look)

    def write(self, content: bytes) -> None:
        """As of any transport; of the answer's first part, what has not been written yet."""
        self._transport.write(content if self._has_begun else content[len(_BEGINNING) :])
        self._has_begun = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _look(self) -> None:
        """Nobody else would see the reset: nothing is read any more, and nothing written until there is an answer."""
        if self._is_over() or self._transport.is_closing():
            return
        if self._transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._transport.abort()
        else:
            self._loop.call_later(_LOOK_EVERY_S, self._look)
