"""One HTTP/2 connection, the server's side. Acts on its transport.

Everything that the protocol itself asks for is here: preface, settings, windows, pings, header blocks, limits, the
end in order; how answers leave is in `answering`. What a request means is the business of the class that is derived
from this one.

Theory of operation: bytes are cut into frames, each kind has a method. A fault of the client's ends its stream with
RST_STREAM, or the connection with a GOAWAY that says which. Limits that matter: streams at a time, bytes of a header
block, of a frame and of what a stream may hold unread; streams that were given up; and what may wait to be written to a
client that does not read: beyond that nothing more is read from it, so that pings, settings and requests are answered
at the pace at which answers are taken.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import ClassVar

from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.grpc.http2.frame_reader import FrameReader
from gateway.grpc.http2.frames import (
    ACK,
    DEFAULT_FRAME_BYTES,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    MOST_FRAME_BYTES,
    MOST_WINDOW,
    PADDED,
    WITH_PRIORITY,
    ConnectionFault,
    ErrorCode,
    FrameType,
    SettingId,
    frame,
    reset_frame,
    setting,
    settings_frame,
    unpadded,
    wider_frame,
    word,
)
from gateway.grpc.http2.headers import MOST_BYTES, HeaderReader, Headers
from gateway.grpc.http2.sending import SendingSide
from gateway.grpc.http2.stream import Stream

FRAME_BYTES = 256 * 1024
MOST_STREAMS = 1024
WINDOW = 16 * 1024 * 1024
MOST_BLOCK_BYTES = 2 * MOST_BYTES
MOST_RESETS = 1000  # more than are answered: a client that only opens and resets costs work and gets nothing for it
_PRIORITY_BYTES = 5
_PING_BYTES = 8


class Http2Connection(SendingSide):
    """One per connection. Derived classes answer requests: see the methods that are empty here.

    `stream_window` is how much a stream may hold of a body until `consumed` says that some of it was used up.
    """

    def __init__(self, turn: EndOfTurn, stream_window: int) -> None:
        super().__init__(turn)
        self.is_paused = False
        self._stream_window = min(stream_window, MOST_WINDOW)
        self._cutter = FrameReader(FRAME_BYTES)
        self._reader = HeaderReader()
        self._expected: FrameType | None = FrameType.SETTINGS
        self._block: tuple[int, int, bytearray] | None = None
        self._is_draining = False
        self._is_over_soon = False
        self._last = 0
        self._promised = MOST_WINDOW  # no stream above it will be answered, the client was told
        self._resets = 0
        self._given_up: deque[int] = deque(maxlen=MOST_STREAMS)  # of which the client may not know yet
        self._unacknowledged = 0

    def request_began(self, stream: Stream) -> None:
        """The headers are here."""

    def request_grew(self, stream: Stream) -> None:
        """More of the body is here, but not its end; `stream.received` is the method's to empty."""

    def request_ended(self, stream: Stream) -> None:
        """The whole request is here."""

    def request_left(self, stream: Stream) -> None:
        """Nobody waits for the answer any more."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self.transport = transport  # type: ignore[assignment]  # a stream's transport can be written to
        ours = {
            SettingId.MAX_CONCURRENT_STREAMS: MOST_STREAMS,
            SettingId.INITIAL_WINDOW_SIZE: self._stream_window,
            SettingId.MAX_FRAME_SIZE: FRAME_BYTES,
            SettingId.MAX_HEADER_LIST_SIZE: MOST_BYTES,
        }
        self.write(settings_frame(ours) + wider_frame(0, WINDOW - DEFAULT_WINDOW))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the protocol's signature
        """Called by the loop."""
        self._is_over = True
        streams, self.streams, self._blocked = self.streams, {}, {}
        for stream in streams.values():
            self.request_left(stream)

    def pause_writing(self) -> None:
        """Called by the transport: who does not read is not read from."""
        self.is_paused = True
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Called by the transport."""
        self.is_paused = False
        if not self._is_over and not self.transport.is_closing():
            self.transport.resume_reading()
            for stream in list(self.streams.values()):
                if not stream.has_more:
                    self.answer_went(stream)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        if self._is_over:
            return
        try:
            for kind, flags, number, payload in self._cutter.cut(data):
                if self._expected is not None and kind != self._expected:
                    raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"The next frame must be {self._expected.name}.")
                handle = self._HANDLERS.get(kind)
                if handle is not None:  # kinds that are not known are for others
                    handle(self, flags, number, payload)
                    if self._is_over:
                        return
        except ConnectionFault as fault:
            self.end(fault.code)

    def drain(self) -> None:
        """Tells the client to open its next requests elsewhere; those that are on their way are still answered."""
        if not self._is_draining:
            self._is_draining = True
            self._goaway(ErrorCode.NO_ERROR)

    def end_when_idle(self) -> None:
        """After `drain`, once the client must have heard: what comes from now on is refused."""
        self._is_over_soon = True
        self._promised = self._last
        if self.streams:
            self._goaway(ErrorCode.NO_ERROR)
        else:
            self.end(ErrorCode.NO_ERROR)

    def end(self, code: ErrorCode) -> None:
        """Ends the connection now, and says why."""
        if self._is_over:
            return
        self._promised = min(self._promised, self._last)
        self._goaway(code)
        self._turn.flush()
        self._is_over = True
        if self.is_paused:
            self.transport.abort()  # what waits would wait for as long as the client likes
        else:
            self.transport.close()

    def consumed(self, stream: Stream, size: int) -> None:
        """So much of a body was used up, and its sender may send as much again."""
        if size and not stream.is_complete:
            self.write(wider_frame(stream.number, size))

    def _on_data(self, flags: int, number: int, payload: bytes) -> None:
        self._require_opened(number)
        size = len(payload)
        self._unacknowledged += size
        if self._unacknowledged > WINDOW // 2:
            self.write(wider_frame(0, self._unacknowledged))
            self._unacknowledged = 0
        if flags & PADDED:
            payload = unpadded(payload)
        stream = self.streams.get(number)
        if stream is None:
            return  # answered or given up already
        if stream.is_complete:
            self._give_up(stream, ErrorCode.STREAM_CLOSED)
            return
        stream.received += payload
        if len(stream.received) > self._stream_window:
            self._give_up(stream, ErrorCode.FLOW_CONTROL_ERROR)
        elif flags & END_STREAM:
            stream.is_complete = True
            self.request_ended(stream)
        else:
            self.consumed(stream, size - len(payload))
            self.request_grew(stream)

    def _on_headers(self, flags: int, number: int, payload: bytes) -> None:
        if flags & PADDED:
            payload = unpadded(payload)
        if flags & WITH_PRIORITY:
            if len(payload) < _PRIORITY_BYTES:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "The headers' priority is cut off.")
            payload = payload[_PRIORITY_BYTES:]
        if flags & END_HEADERS and len(payload) <= MOST_BLOCK_BYTES:
            self._begin(number, flags, payload)
        else:
            self._block, self._expected = (number, flags, bytearray()), FrameType.CONTINUATION
            self._on_continuation(flags, number, payload)

    def _on_continuation(self, flags: int, number: int, payload: bytes) -> None:
        if self._block is None or self._block[0] != number:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "Nothing is to be continued there.")
        block = self._block[2]
        block += payload
        if len(block) > MOST_BLOCK_BYTES:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "The header block is too long.")
        if flags & END_HEADERS:
            begun, self._block, self._expected = self._block, None, None
            self._begin(number, begun[1], bytes(block))

    def _begin(self, number: int, flags: int, block: bytes) -> None:
        headers = self._reader.read(block)  # also of what is refused: the table must stay in step
        stream = self.streams.get(number)
        if stream is not None:
            self._trail(stream, flags, headers)
        elif number > self._last and number % 2:
            self._last = number
            if self._is_over_soon or len(self.streams) >= MOST_STREAMS:
                self._refuse(number, ErrorCode.REFUSED_STREAM)
            elif headers is None or b":method" not in headers:
                self._refuse(number, ErrorCode.PROTOCOL_ERROR)
            else:
                self._open(number, flags, headers)
        elif number not in self._given_up:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "A stream's number is not a new one.")

    def _open(self, number: int, flags: int, headers: Headers) -> None:
        stream = self.streams[number] = Stream(number, headers, self._their_window)
        stream.is_complete = bool(flags & END_STREAM)
        self.request_began(stream)
        if stream.is_complete and number in self.streams:
            self.request_ended(stream)

    def _trail(self, stream: Stream, flags: int, headers: Headers | None) -> None:
        """Trailers, of which gRPC's clients have none to say."""
        if stream.is_complete:
            self._give_up(stream, ErrorCode.STREAM_CLOSED)
        elif headers is None or b":method" in headers or not flags & END_STREAM:
            self._give_up(stream, ErrorCode.PROTOCOL_ERROR)
        else:
            stream.is_complete = True
            self.request_ended(stream)

    def _on_priority(self, _: int, number: int, payload: bytes) -> None:
        if not number or len(payload) != _PRIORITY_BYTES:
            raise ConnectionFault(
                ErrorCode.FRAME_SIZE_ERROR if number else ErrorCode.PROTOCOL_ERROR,
                "A priority has five bytes, and a stream.",
            )

    def _on_reset(self, _: int, number: int, payload: bytes) -> None:
        if len(payload) != word.size:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "A reset has four bytes.")
        self._require_opened(number)
        stream = self.streams.get(number)
        if stream is not None:
            self._forget(stream)

    def _on_settings(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "Settings are for the connection.")
        if len(payload) % setting.size or (flags & ACK and payload):
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "The settings are cut off, or too long.")
        self._expected = None
        if flags & ACK:
            return
        given = dict(setting.iter_unpack(payload))  # of a setting that comes twice, the last counts
        if given.get(SettingId.ENABLE_PUSH, 0) > 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "Pushes are on or off.")
        frame_bytes = given.get(SettingId.MAX_FRAME_SIZE, self._their_frame_bytes)
        if not DEFAULT_FRAME_BYTES <= frame_bytes <= MOST_FRAME_BYTES:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "Frames cannot be that long.")
        self._their_frame_bytes = frame_bytes
        self.write(frame(FrameType.SETTINGS, ACK, 0))  # before what the new windows let through
        if SettingId.INITIAL_WINDOW_SIZE in given:
            self._move_windows(given[SettingId.INITIAL_WINDOW_SIZE])

    def _on_ping(self, flags: int, number: int, payload: bytes) -> None:
        if number or len(payload) != _PING_BYTES:
            raise ConnectionFault(
                ErrorCode.PROTOCOL_ERROR if number else ErrorCode.FRAME_SIZE_ERROR,
                "A ping has eight bytes, and no stream.",
            )
        if not flags & ACK:
            self.write(frame(FrameType.PING, ACK, 0, payload))

    def _on_goaway(self, _: int, number: int, payload: bytes) -> None:
        """The client closes the connection when it has its answers; nothing is to be done but to look at the form."""
        if number or len(payload) < 2 * word.size:
            raise ConnectionFault(
                ErrorCode.PROTOCOL_ERROR if number else ErrorCode.FRAME_SIZE_ERROR,
                "A goodbye has eight bytes, and no stream.",
            )

    def _on_window_update(self, _: int, number: int, payload: bytes) -> None:
        if len(payload) != word.size:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "A window's update has four bytes.")
        by = word.unpack(payload)[0] & MOST_WINDOW
        if number:
            self._require_opened(number)
            stream = self.streams.get(number)
            if stream is not None:
                fault = self._widen_stream(stream, by) if by else ErrorCode.PROTOCOL_ERROR
                if fault is not None:
                    self._give_up(stream, fault)
        elif by:
            self._widen(by)
        else:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "The window was widened by nothing.")

    def _on_push_promise(self, _: int, __: int, ___: bytes) -> None:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "Clients promise nothing.")

    _HANDLERS: ClassVar[dict[int, Callable[["Http2Connection", int, int, bytes], None]]] = {
        FrameType.DATA: _on_data,
        FrameType.HEADERS: _on_headers,
        FrameType.PRIORITY: _on_priority,
        FrameType.RST_STREAM: _on_reset,
        FrameType.SETTINGS: _on_settings,
        FrameType.PUSH_PROMISE: _on_push_promise,
        FrameType.PING: _on_ping,
        FrameType.GOAWAY: _on_goaway,
        FrameType.WINDOW_UPDATE: _on_window_update,
        FrameType.CONTINUATION: _on_continuation,
    }

    def _require_opened(self, number: int) -> None:
        if not 0 < number <= self._last:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "The stream was never opened.")

    def _close(self, stream: Stream) -> None:
        """The answer is out."""
        self._resets = max(0, self._resets - 1)
        self.streams.pop(stream.number, None)
        if not stream.is_complete:  # the client need not send the rest (RFC 9113, 8.1)
            self._refuse(stream.number, ErrorCode.NO_ERROR)
        self._end_if_idle()

    def _refuse(self, number: int, code: ErrorCode) -> None:
        """Ends a stream of which the client may go on sending for a while."""
        self._given_up.append(number)
        self.write(reset_frame(number, code))

    def _give_up(self, stream: Stream, code: ErrorCode) -> None:
        """The client broke the protocol in a way that ends the stream."""
        self._refuse(stream.number, code)
        self._forget(stream)

    def _forget(self, stream: Stream) -> None:
        """There will be no answer, for which the client is to blame."""
        del self.streams[stream.number]
        self._blocked.pop(stream.number, None)
        self.request_left(stream)
        self._resets += 1
        if self._resets > MOST_RESETS:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "Too many requests were opened and reset.")
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._is_over_soon and not self.streams:
            self.end(ErrorCode.NO_ERROR)

    def _goaway(self, code: ErrorCode) -> None:
        self.write(frame(FrameType.GOAWAY, 0, 0, word.pack(self._promised) + word.pack(code)))
