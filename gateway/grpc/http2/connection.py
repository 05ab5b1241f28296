"""One HTTP/2 connection, the server's side.

Theory of operation: `FrameReader` splits the bytes into frames, and each frame type has a method in `RequestFrames` or
`ControlFrames`. These keep the `StreamTable` and call the `Handler`, which responds through `SendingSide`. `Closing`
ends the connection. `Output` is where all of them write. The parts refer to each other in one direction only, so a lost
connection is freed at once and not by the garbage collector.

When the client breaks the protocol, its stream ends with RST_STREAM, or the connection with a GOAWAY that has the error
code. What a client may make the connection hold is bounded: see `limits`.
"""

import asyncio
from collections.abc import Callable

from gateway.grpc.http2.closing import Closing
from gateway.grpc.http2.control_frames import ControlFrames
from gateway.grpc.http2.frame_reader import FrameReader
from gateway.grpc.http2.frames import (
    DEFAULT_WINDOW,
    MAX_WINDOW,
    ConnectionFault,
    ErrorCode,
    FrameType,
    SettingId,
    settings_frame,
    window_update_frame,
)
from gateway.grpc.http2.handler import Handler
from gateway.grpc.http2.headers import MAX_HEADER_BYTES
from gateway.grpc.http2.limits import CONNECTION_WINDOW, FRAME_BYTES, MAX_STREAMS
from gateway.grpc.http2.output import Output
from gateway.grpc.http2.request_frames import RequestFrames
from gateway.grpc.http2.sending import SendingSide
from gateway.grpc.http2.stream import Stream
from gateway.grpc.http2.streams import StreamTable

FrameHandler = Callable[[int, int, bytes], None]
"""Takes a frame's flags, stream and payload. Raises `ConnectionFault`."""


class Http2Connection(asyncio.Protocol):
    """A connection whose requests go to `handler`.

    `write(transport, content)` and `flush()` are described at `Output`. `stream_window` is how much of a body a stream
    may hold until `consumed` reports that the handler has used some of it. `sending` is for the handler's responses,
    `closing` ends the connection, and `streams` are the requests without a complete response, by number.
    """

    def __init__(
        self,
        handler: Handler,
        write: Callable[[asyncio.Transport, bytes], None],
        flush: Callable[[], None],
        *,
        stream_window: int,
    ) -> None:
        self._handler = handler
        self._stream_window = min(stream_window, MAX_WINDOW)
        self._reader = FrameReader(FRAME_BYTES)
        self._output = output = Output(write, flush)
        self._table = table = StreamTable(output, handler)
        self.streams = table.active
        self.closing = Closing(output, table)
        self.sending = SendingSide(output, table, self.closing, handler)
        self._requests = RequestFrames(output, table, self.closing, handler, stream_window=self._stream_window)
        self._control = ControlFrames(output, table, self.sending)
        self._frame_handlers = self._by_type()

    @property
    def is_paused(self) -> bool:
        """True while the client does not read."""
        return self._output.is_paused

    def consumed(self, stream: Stream, size: int) -> None:
        """Let the client send `size` more bytes of a body, of which the handler has used as many."""
        self._requests.consumed(stream, size)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send this side's settings. Called by the event loop."""
        self._output.transport = transport  # type: ignore[assignment]  # a stream's transport can be written to
        settings = {
            SettingId.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
            SettingId.INITIAL_WINDOW_SIZE: self._stream_window,
            SettingId.MAX_FRAME_SIZE: FRAME_BYTES,
            SettingId.MAX_HEADER_LIST_SIZE: MAX_HEADER_BYTES,
        }
        self._output.write(settings_frame(settings) + window_update_frame(0, CONNECTION_WINDOW - DEFAULT_WINDOW))
        self._handler.connection_made()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the signature is asyncio's
        """Cancel every request. Called by the event loop."""
        self._output.is_closed = True
        self._table.cancel_all()
        self._handler.connection_lost()

    def pause_writing(self) -> None:
        """Stop reading from a client that does not read. Called by the transport."""
        self._output.pause()

    def resume_writing(self) -> None:
        """Read and send again. Called by the transport."""
        if self._output.resume():
            for stream in list(self.streams.values()):
                if not stream.has_unsent:
                    self._handler.response_drained(stream)

    def data_received(self, data: bytes) -> None:
        """Handle every frame that `data` completes. Called by the event loop."""
        output, requests, control, closing = self._output, self._requests, self._control, self.closing
        if output.is_closed:
            return
        try:
            for kind, flags, number, payload in self._reader.read(data):
                if requests.open_block is not None and kind != FrameType.CONTINUATION:
                    raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "The next frame must be CONTINUATION.")
                if not control.has_settings and kind != FrameType.SETTINGS:
                    raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "The first frame must be SETTINGS.")
                handle = self._frame_handlers.get(kind)
                if handle is None:
                    continue  # an unknown type is ignored (RFC 9113, section 4.1)
                handle(flags, number, payload)
                if closing.refuses_requests:  # the frame may have cancelled the last stream
                    closing.end_if_idle()
                if output.is_closed:
                    return
        except ConnectionFault as fault:
            closing.end(fault.code)

    def _by_type(self) -> dict[int, FrameHandler]:
        requests, control = self._requests, self._control
        return {
            FrameType.DATA: requests.on_data,
            FrameType.HEADERS: requests.on_headers,
            FrameType.PRIORITY: control.on_priority,
            FrameType.RST_STREAM: control.on_reset,
            FrameType.SETTINGS: control.on_settings,
            FrameType.PUSH_PROMISE: control.on_push_promise,
            FrameType.PING: control.on_ping,
            FrameType.GOAWAY: control.on_goaway,
            FrameType.WINDOW_UPDATE: control.on_window_update,
            FrameType.CONTINUATION: requests.on_continuation,
        }
