"""The frames of which requests consist: HEADERS with its CONTINUATIONs, and DATA."""

from typing import NamedTuple

from gateway.grpc.http2.closing import Closing
from gateway.grpc.http2.frames import (
    END_HEADERS,
    END_STREAM,
    PADDED,
    PRIORITY_BYTES,
    WITH_PRIORITY,
    ConnectionFault,
    ErrorCode,
    window_update_frame,
    without_padding,
)
from gateway.grpc.http2.handler import Handler
from gateway.grpc.http2.headers import HeaderMap, HeaderReader
from gateway.grpc.http2.limits import CONNECTION_WINDOW, MAX_BLOCK_BYTES, MAX_STREAMS
from gateway.grpc.http2.output import Output
from gateway.grpc.http2.stream import Stream
from gateway.grpc.http2.streams import StreamTable


class OpenBlock(NamedTuple):
    """A header block whose last frame has not arrived."""

    number: int
    flags: int
    content: bytearray


class RequestFrames:
    """The requests of one connection. `open_block` is None unless the next frame must be a CONTINUATION."""

    def __init__(
        self, output: Output, streams: StreamTable, closing: Closing, handler: Handler, *, stream_window: int
    ) -> None:
        self.open_block: OpenBlock | None = None
        self._output = output
        self._streams = streams
        self._closing = closing
        self._handler = handler
        self._stream_window = stream_window
        self._headers = HeaderReader()
        self._unacknowledged = 0

    def on_headers(self, flags: int, number: int, payload: bytes) -> None:
        """Start a request, or end it with trailers."""
        if flags & PADDED:
            payload = without_padding(payload)
        if flags & WITH_PRIORITY:
            if len(payload) < PRIORITY_BYTES:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "The headers end within their priority.")
            payload = payload[PRIORITY_BYTES:]
        if flags & END_HEADERS and len(payload) <= MAX_BLOCK_BYTES:
            self._end_block(number, flags, payload)
        else:
            self.open_block = OpenBlock(number, flags, bytearray())
            self.on_continuation(flags, number, payload)

    def on_continuation(self, flags: int, number: int, payload: bytes) -> None:
        """Add to the open header block."""
        block = self.open_block
        if block is None or block.number != number:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "There is no header block to continue on this stream.")
        content = block.content
        content += payload
        if len(content) > MAX_BLOCK_BYTES:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "The header block is too long.")
        if flags & END_HEADERS:
            self.open_block = None
            self._end_block(number, block.flags, bytes(content))

    def on_data(self, flags: int, number: int, payload: bytes) -> None:
        """Add to a request's body."""
        streams = self._streams
        streams.require_opened(number)
        size = len(payload)
        self._unacknowledged += size
        if self._unacknowledged > CONNECTION_WINDOW // 2:  # one WINDOW_UPDATE for many frames
            self._output.write(window_update_frame(0, self._unacknowledged))
            self._unacknowledged = 0
        if flags & PADDED:
            payload = without_padding(payload)
        stream = streams.active.get(number)
        if stream is None:
            return  # it has its response already, or was reset
        if stream.is_request_complete:
            streams.give_up(stream, ErrorCode.STREAM_CLOSED)
            return
        stream.received += payload
        if len(stream.received) > self._stream_window:
            streams.give_up(stream, ErrorCode.FLOW_CONTROL_ERROR)
        elif flags & END_STREAM:
            self._end_request(stream)
        else:
            self.consumed(stream, size - len(payload))  # the padding
            self._handler.body_received(stream)

    def consumed(self, stream: Stream, size: int) -> None:
        """Let the client send `size` more bytes of a body, of which the handler has used as many."""
        if size and not stream.is_request_complete:
            self._output.write(window_update_frame(stream.number, size))

    def _end_block(self, number: int, flags: int, block: bytes) -> None:
        """Handle a whole header block. Refused requests are decoded too: the header table must stay in step."""
        streams = self._streams
        headers = self._headers.read(block)
        stream = streams.active.get(number)
        if stream is not None:
            self._on_trailers(stream, flags, headers)
        elif number > streams.newest and number % 2:
            streams.newest = number
            if self._closing.refuses_requests or len(streams.active) >= MAX_STREAMS:
                streams.refuse(number, ErrorCode.REFUSED_STREAM)
            elif headers is None or b":method" not in headers:
                streams.refuse(number, ErrorCode.PROTOCOL_ERROR)
            else:
                self._start_request(number, flags, headers)
        elif not streams.was_reset(number):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "A new stream needs an odd number above all earlier ones.")

    def _start_request(self, number: int, flags: int, headers: HeaderMap) -> None:
        stream = self._streams.open(number, headers)
        stream.is_request_complete = bool(flags & END_STREAM)
        self._handler.request_started(stream)
        if stream.is_request_complete and stream.is_open:
            self._handler.request_ended(stream)

    def _end_request(self, stream: Stream) -> None:
        stream.is_request_complete = True
        self._handler.request_ended(stream)

    def _on_trailers(self, stream: Stream, flags: int, headers: HeaderMap | None) -> None:
        """Check a request's trailers, whose fields mean nothing to gRPC, and end the request."""
        if stream.is_request_complete:
            self._streams.give_up(stream, ErrorCode.STREAM_CLOSED)
        elif headers is None or b":method" in headers or not flags & END_STREAM:
            self._streams.give_up(stream, ErrorCode.PROTOCOL_ERROR)
        else:
            self._end_request(stream)
