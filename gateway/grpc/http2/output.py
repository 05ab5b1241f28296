"""The bytes that one connection sends."""

import asyncio
from collections.abc import Callable

_LINGER_S = 0.5
"""How long bytes that are on their way are read, and dropped, after the end (as nginx's lingering_close)."""
_LINGER_BYTES = 256 * 1024
"""How many of them are read."""


class Output:
    """The writing end of a connection.

    `write(transport, content)` may hold bytes back, so that the bytes of one turn of the event loop leave together.
    `flush()` writes everything that is held back. `transport` is set when the connection is made.
    """

    __slots__ = ("_dropped", "_flush", "_is_held", "_write", "is_closed", "is_paused", "transport")

    def __init__(self, write: Callable[[asyncio.Transport, bytes], None], flush: Callable[[], None]) -> None:
        self.transport: asyncio.Transport
        self.is_closed = False
        self.is_paused = False
        self._is_held = False
        self._dropped = 0
        self._write = write
        self._flush = flush

    def write(self, content: bytes) -> None:
        """Send bytes, unless the connection is closed."""
        if not self.is_closed:
            self._write(self.transport, content)

    def pause(self) -> None:
        """Stop reading from a client that does not read."""
        self.is_paused = True
        if not self._is_held and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume(self) -> bool:
        """Read again. Return False if the connection is closed."""
        self.is_paused = False
        if self.is_closed or self.transport.is_closing():
            return False
        if not self._is_held:
            self.transport.resume_reading()
        return True

    def hold(self, is_held: bool) -> None:  # the new state is all there is to say
        """Stop reading from a client whose bytes cannot be handled yet, or read again."""
        if is_held == self._is_held:
            return
        self._is_held = is_held
        if self.is_paused or self.is_closed or self.transport.is_closing():
            return
        if is_held:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def drop(self, size: int) -> None:
        """Count bytes that came after the end, and stop reading if they are too many."""
        self._dropped += size
        if self._dropped > _LINGER_BYTES and not self.transport.is_closing():
            self.transport.pause_reading()

    def unsent_bytes(self) -> int:
        """Return how many bytes wait until the client reads."""
        return 0 if self.transport.is_closing() and not self.is_closed else self.transport.get_write_buffer_size()

    def abort(self) -> None:
        """Close the connection without sending what waits."""
        self.is_closed = True
        self.transport.abort()

    def close(self) -> None:
        """Send what is held back, then close the connection."""
        self._flush()
        self.is_closed = True
        if self.is_paused:
            self.transport.abort()  # the client does not read: a graceful close could wait for ever
        elif self._is_held:
            # The system answers a close with unread bytes by a reset, and the client would lose its GOAWAY.
            self.transport.resume_reading()
            asyncio.get_running_loop().call_later(_LINGER_S, self.transport.close)
        else:
            self.transport.close()
