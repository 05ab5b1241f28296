"""The frames of which requests consist: HEADERS with its CONTINUATIONs, and DATA."""

from dataclasses import dataclass, field

from gateway.grpc.http2.closing import Closing
from gateway.grpc.http2.flood_guard import FloodGuard
from gateway.grpc.http2.frames import (
    END_HEADERS,
    END_STREAM,
    PADDED,
    PRIORITY_BYTES,
    WITH_PRIORITY,
    ConnectionFault,
    ErrorCode,
    without_padding,
)
from gateway.grpc.http2.handler import Handler
from gateway.grpc.http2.headers import HeaderMap, HeaderReader, Refused
from gateway.grpc.http2.limits import MAX_BLOCK_BYTES, MAX_CONTINUATIONS, MAX_STREAMS, SMALL_BYTES
from gateway.grpc.http2.receive_windows import ReceiveWindows
from gateway.grpc.http2.stream import Stream
from gateway.grpc.http2.streams import StreamTable
from gateway.grpc.http2.turns import Turns

_NO_HEADERS: HeaderMap = {}
_MAX_LENGTH_DIGITS = 18


@dataclass(slots=True)
class OpenBlock:
    """A header block whose last frame has not arrived, and how many CONTINUATION frames it has."""

    number: int
    flags: int
    content: bytearray = field(default_factory=bytearray)
    continuations: int = 0


class RequestFrames:
    """The requests of one connection. `open_block` is None unless the next frame must be a CONTINUATION."""

    def __init__(
        self,
        streams: StreamTable,
        closing: Closing,
        handler: Handler,
        receiving: ReceiveWindows,
        turns: Turns,
        guard: FloodGuard,
    ) -> None:
        self.open_block: OpenBlock | None = None
        self._streams = streams
        self._closing = closing
        self._handler = handler
        self._receiving = receiving
        self._turns = turns
        self._guard = guard
        self._headers = HeaderReader()

    @property
    def partial_bytes(self) -> int:
        """How much of a header block has arrived that is not complete."""
        return 0 if self.open_block is None else len(self.open_block.content)

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
            self.open_block = OpenBlock(number, flags)
            self._continue(self.open_block, flags, payload)

    def on_continuation(self, flags: int, number: int, payload: bytes) -> None:
        """Add to the open header block."""
        block = self.open_block
        if block is None or block.number != number:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "There is no header block to continue on this stream.")
        block.continuations += 1
        if block.continuations > MAX_CONTINUATIONS:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "The header block has too many parts.")
        if not payload:
            self._guard.count_useless()
        self._continue(block, flags, payload)

    def on_data(self, flags: int, number: int, payload: bytes) -> None:
        """Add to a request's body."""
        streams, receiving = self._streams, self._receiving
        streams.require_opened(number)
        size = len(payload)
        receiving.arrived(size)
        if flags & PADDED:
            payload = without_padding(payload)
        stream = streams.active.get(number)
        if stream is None or stream.is_request_complete or size > stream.receive_window:
            receiving.drop(size)
            self._refuse_data(number, stream, size)
            return
        stream.receive_window -= size
        stream.received += payload
        if stream.unread is not None:
            stream.unread -= len(payload)
            if stream.unread < 0:
                streams.give_up(stream, ErrorCode.PROTOCOL_ERROR)
                return
        if flags & END_STREAM:
            if size != len(payload):
                receiving.drop(size - len(payload))
            self._end_request(stream)
        else:
            self._go_on(stream, payload, size - len(payload))

    def _continue(self, block: OpenBlock, flags: int, payload: bytes) -> None:
        block.content += payload
        if len(block.content) > MAX_BLOCK_BYTES:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "The header block is too long.")
        if flags & END_HEADERS:
            self.open_block = None
            self._end_block(block.number, block.flags, bytes(block.content))

    def _go_on(self, stream: Stream, payload: bytes, padding: int) -> None:
        """Hand on a part of a body that is not its end."""
        stream.moved_s = self._turns.now_s
        if padding:
            self._receiving.drop_padding(stream, padding)
        if not payload:
            self._guard.count_useless()
        elif self._receiving.keep(stream, len(payload)):
            self._handler.body_received(stream)
        else:
            self._handler.body_unaffordable(stream)

    def _refuse_data(self, number: int, stream: Stream | None, size: int) -> None:
        """Handle data that must not be there."""
        if stream is not None:
            too_late = stream.is_request_complete
            self._streams.give_up(stream, ErrorCode.STREAM_CLOSED if too_late else ErrorCode.FLOW_CONTROL_ERROR)
        elif not self._streams.was_reset(number):
            self._streams.refuse(number, ErrorCode.STREAM_CLOSED)
        else:
            self._streams.count_late(number, size)
            if size < SMALL_BYTES:
                self._guard.count_control()

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
            elif headers is Refused.TOO_LONG:
                stream = streams.open(number, _NO_HEADERS, self._turns.now_s)
                stream.is_request_complete = bool(flags & END_STREAM)
                self._handler.request_too_long(stream)
            elif headers is Refused.MALFORMED or b":method" not in headers:
                streams.refuse(number, ErrorCode.PROTOCOL_ERROR)
            else:
                self._start_request(number, flags, headers)
        elif streams.was_reset(number):
            self._guard.count_control()
        elif streams.has_ended(number):
            streams.refuse(number, ErrorCode.STREAM_CLOSED)
        else:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "A new stream needs an odd number above all earlier ones.")

    def _start_request(self, number: int, flags: int, headers: HeaderMap) -> None:
        streams = self._streams
        length = headers.get(b"content-length")
        if length is not None and (not length.isdigit() or len(length) > _MAX_LENGTH_DIGITS):
            streams.refuse(number, ErrorCode.PROTOCOL_ERROR)
            return
        stream = streams.open(number, headers, self._turns.now_s)
        if length is not None:
            stream.unread = int(length)
        if not flags & END_STREAM:
            self._handler.request_started(stream)
        elif stream.unread:
            streams.give_up(stream, ErrorCode.PROTOCOL_ERROR)
        else:
            stream.is_request_complete = True
            self._handler.request_started(stream)
            if stream.is_open:
                self._handler.request_ended(stream)

    def _end_request(self, stream: Stream) -> None:
        if stream.unread:
            self._streams.give_up(stream, ErrorCode.PROTOCOL_ERROR)
        else:
            stream.is_request_complete = True
            self._handler.request_ended(stream)

    def _on_trailers(self, stream: Stream, flags: int, headers: HeaderMap | Refused) -> None:
        """Check a request's trailers, whose fields mean nothing to gRPC, and end the request."""
        if stream.is_request_complete:
            self._streams.give_up(stream, ErrorCode.STREAM_CLOSED)
        elif isinstance(headers, Refused) or b":method" in headers or not flags & END_STREAM:
            self._streams.give_up(stream, ErrorCode.PROTOCOL_ERROR)
        else:
            self._end_request(stream)
