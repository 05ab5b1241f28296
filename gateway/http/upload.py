"""A large body on its way from the socket to the model, copied at most once. Acts.

Its length is known, so its memory is taken at once, placed so that the first tensor behind the JSON header is aligned
for whatever reads it. What came together with the HTTP header is copied there; then the connection's transport is
lent to this protocol, and the kernel writes the rest where it belongs. A tensor decoded from it is a view.
"""

import asyncio
from typing import Protocol

import httptools
import numpy as np

_ALIGNMENT_BYTES = 64


class Connection(Protocol):
    """The HTTP side of the connection, which gets its transport back at the end."""

    transport: asyncio.Transport

    def upload_complete(self) -> None:
        """The body is here."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The client left before."""

    def eof_received(self) -> bool | None:
        """The client will send no more."""

    def pause_writing(self) -> None:
        """As for any protocol."""

    def resume_writing(self) -> None:
        """As for any protocol."""


class Upload(asyncio.BufferedProtocol):
    """One body of known length. `header_length` is the raw value of Inference-Header-Content-Length, or empty."""

    def __init__(self, connection: Connection, length: int, header_length: bytes) -> None:
        offset = int(header_length) if header_length.isdigit() and len(header_length) < 10 else 0
        memory = np.empty(length + _ALIGNMENT_BYTES, np.uint8)
        start = -(memory.ctypes.data + offset) % _ALIGNMENT_BYTES
        self.body = memoryview(memory.data)[start : start + length]
        self._connection = connection
        self._filled = 0

    def take(self, part: bytes | bytearray) -> None:
        """Copies what the HTTP parser was given of the body."""
        end = self._filled + len(part)
        self.body[self._filled : end] = part
        self._filled = end

    def divert(self) -> None:
        """From now on the rest of the body comes here."""
        self._switch(self)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # the protocol's signature
        """Called by the loop: where to read to. Never beyond the body's end, where the next request begins."""
        return self.body[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Called by the loop: so much was read."""
        self._filled += nbytes
        if self._filled == len(self.body):
            self._switch(self._connection)
            self._connection.upload_complete()

    def eof_received(self) -> bool | None:
        """See `Connection`."""
        return self._connection.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `Connection`."""
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        """See `Connection`."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """See `Connection`."""
        self._connection.resume_writing()

    def _switch(self, protocol: object) -> None:
        transport = self._connection.transport
        transport.pause_reading()  # the loop looks at the kind of protocol when reading begins
        transport.set_protocol(protocol)  # type: ignore[arg-type]  # a Connection is one
        transport.resume_reading()


def fresh_parser(protocol: object) -> httptools.HttpRequestParser:
    """A parser that knows nothing of the body it did not see, set up as uvicorn does it."""
    parser = httptools.HttpRequestParser(protocol)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser
