"""A large request body, read from the socket straight into the buffer that the model's tensors are views of.

Its length is known, so one buffer for all of it is allocated at once, and offset so that the first tensor after the
JSON header is 64-byte aligned. The part of the body that came in one packet with the HTTP headers is copied into it.
Then the transport is switched to this protocol, and the kernel writes the rest into the buffer. So no byte is copied
more than once, and most are not copied at all.
"""

import asyncio
from typing import Protocol

import httptools
import numpy as np

from gateway.errors import Overloaded
from gateway.eventloop.body_budget import Holding

_ALIGNMENT_BYTES = 64


class Connection(Protocol):
    """The HTTP connection, which gets its transport back when the body is complete."""

    transport: asyncio.Transport

    def upload_complete(self) -> None:
        """Note that the body is complete."""

    def upload_refused(self, error: Overloaded) -> None:
        """Note that the replica holds too many bytes for the rest of the body."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the client disconnected during the upload."""

    def eof_received(self) -> bool | None:
        """Note that the client has closed its sending side."""

    def pause_writing(self) -> None:
        """Note that the transport's write buffer is full."""

    def resume_writing(self) -> None:
        """Note that the transport's write buffer has room again."""


class Upload(asyncio.BufferedProtocol):
    """The upload of one body of known length.

    `header_length` is the raw value of Inference-Header-Content-Length, or empty. A value that is no usable number only
    costs the alignment here; the decoder rejects it. `holding` counts what has arrived.
    """

    def __init__(self, connection: Connection, length: int, header_length: bytes, holding: Holding) -> None:
        offset = int(header_length) if header_length.isdigit() and len(header_length) < 10 else 0
        buffer = np.empty(length + _ALIGNMENT_BYTES, np.uint8)
        start = -(buffer.ctypes.data + offset) % _ALIGNMENT_BYTES
        self.body = memoryview(buffer.data)[start : start + length]
        self._connection = connection
        self._holding = holding
        self.filled = 0
        """How many bytes of the body are here."""

    def take(self, part: bytes | bytearray) -> None:
        """Copy a part of the body that went through the HTTP parser.

        Raises:
            Overloaded: the replica holds too many bytes.
        """
        self._holding.add(len(part))
        end = self.filled + len(part)
        self.body[self.filled : end] = part
        self.filled = end

    def divert(self) -> None:
        """Receive the rest of the body here, past the parser."""
        self._switch(self)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # asyncio's signature
        """Return where to read to. It ends at the body's end, where the next request begins. The loop calls this."""
        return self.body[self.filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Count what was read; at the body's end, give the transport back. The loop calls this."""
        self.filled += nbytes
        try:
            self._holding.add(nbytes)
        except Overloaded as error:
            self._switch(self._connection)
            self._connection.upload_refused(error)
            return
        if self.filled == len(self.body):
            self._switch(self._connection)
            self._connection.upload_complete()

    def eof_received(self) -> bool | None:
        """Pass the event on to the connection."""
        return self._connection.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass the event on to the connection."""
        self._connection.connection_lost(exc)
        del self._connection  # the connection and the upload would keep each other, and the body

    def pause_writing(self) -> None:
        """Pass the event on to the connection."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """Pass the event on to the connection."""
        self._connection.resume_writing()

    def _switch(self, protocol: object) -> None:
        transport = self._connection.transport
        transport.pause_reading()  # the loop checks for a BufferedProtocol only when reading starts
        transport.set_protocol(protocol)  # type: ignore[arg-type]  # a Connection is one
        transport.resume_reading()


def fresh_parser(protocol: object) -> httptools.HttpRequestParser:
    """Return a new parser with uvicorn's settings. The old one still expects the body, which it did not see."""
    parser = httptools.HttpRequestParser(protocol)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser
