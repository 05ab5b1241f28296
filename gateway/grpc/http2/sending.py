"""How responses leave a connection: headers, data as the client's windows allow, trailers.

Nothing is compressed, and no header table is kept. What the windows do not allow waits in its stream. When the client
widens a window, nothing is sent at once: `_push_ready` runs once in a turn of the event loop, however many frames have
widened windows, and gives each stream that can send its share in turn.
"""

from gateway.grpc.http2.closing import Closing
from gateway.grpc.http2.flood_guard import PER_DATA_FRAME, FloodGuard
from gateway.grpc.http2.frames import (
    DEFAULT_FRAME_BYTES,
    END_HEADERS,
    END_STREAM,
    MAX_WINDOW,
    ConnectionFault,
    ErrorCode,
    FrameType,
    frame,
    head,
)
from gateway.grpc.http2.handler import Handler
from gateway.grpc.http2.headers import NO_TABLE
from gateway.grpc.http2.limits import FIRST_BYTES, SEND_BYTES
from gateway.grpc.http2.output import Output
from gateway.grpc.http2.stream import Stream
from gateway.grpc.http2.streams import StreamTable
from gateway.grpc.http2.turns import Turns

_HEADERS, _DATA = FrameType.HEADERS, FrameType.DATA  # each look-up in the enum takes 70 ns in Python 3.11


class SendingSide:
    """The half of one connection that sends. A handler responds with `respond`, or with `start`, `send` and `finish`.

    `max_frame_bytes` is the longest frame that the client accepts. `moved_s` is when the client last let a part of a
    response through.
    """

    def __init__(
        self,
        output: Output,
        streams: StreamTable,
        closing: Closing,
        handler: Handler,
        turns: Turns,
        guard: FloodGuard,
    ) -> None:
        self.max_frame_bytes = DEFAULT_FRAME_BYTES
        self.moved_s = turns.now_s
        self._output = output
        self._streams = streams
        self._closing = closing
        self._handler = handler
        self._turns = turns
        self._guard = guard
        self._windows = streams.windows
        self._widest = 0  # no `window_change` of an active stream is above it
        self._is_scheduled = False
        self._is_initial_wider = False
        self._before_block = NO_TABLE

    def start(self, stream: Stream, block: bytes) -> None:
        """Send the headers of a response."""
        self._output.write(self._headers_frame(END_HEADERS, stream, block))

    def send(self, stream: Stream, *content: bytes) -> None:
        """Send a part of a response, as far as the windows allow."""
        for part in content:
            stream.put(part)
        self._push(stream)
        if stream.is_open and stream.has_data:
            self._streams.hold(stream)

    def finish(self, stream: Stream, block: bytes) -> None:
        """Send the trailers, after everything else: the response is complete."""
        stream.finish(self._headers_frame(END_HEADERS | END_STREAM, stream, block))
        self._push(stream)

    def respond(self, stream: Stream, block: bytes, content: bytes, trailers: bytes) -> None:
        """Send a whole response, in a single write if the windows allow."""
        size, windows = len(content), self._windows
        if (
            size > windows.connection
            or size > windows.initial + stream.window_change
            or size > self.max_frame_bytes
            or self._streams.ready
            or self._output.is_paused
        ):
            self.start(stream, block)
            self.send(stream, content)
            self.finish(stream, trailers)
            return
        windows.connection -= size
        self._guard.earned += PER_DATA_FRAME + (size >> 10)
        number = stream.number
        self._output.write(
            b"".join(
                (
                    self._headers_frame(END_HEADERS, stream, block),
                    head.pack(size >> 8, size & 0xFF, _DATA, 0, number),
                    content,
                    frame(_HEADERS, END_HEADERS | END_STREAM, number, trailers),
                )
            )
        )
        self._end(stream)

    def move_windows(self, size: int) -> None:
        """Apply the client's new initial window to open and later streams. Windows may become negative (section 6.9.2).

        Raises:
            ConnectionFault: a window becomes wider than windows can be.
        """
        windows = self._windows
        self._is_initial_wider = self._is_initial_wider or size > windows.initial
        windows.initial = size
        if size + self._widest > MAX_WINDOW:
            self._widest = max((0, *(stream.window_change for stream in self._streams.active.values())))
        if size + self._widest > MAX_WINDOW:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "The window is wider than windows can be.")
        if self._is_initial_wider:
            self._schedule()

    def widen(self, size: int) -> None:
        """Widen the connection's window.

        Raises:
            ConnectionFault: it becomes wider than windows can be.
        """
        windows = self._windows
        windows.connection += size
        if windows.connection > MAX_WINDOW:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "The window is wider than windows can be.")
        if self._streams.ready:
            self._schedule()

    def widen_stream(self, stream: Stream, size: int) -> ErrorCode | None:
        """Widen a stream's window. Return the error if it becomes wider than windows can be."""
        stream.window_change += size
        if stream.window > MAX_WINDOW:
            return ErrorCode.FLOW_CONTROL_ERROR
        self._widest = max(self._widest, stream.window_change)
        if stream.has_unsent and stream.window > 0:
            self._streams.ready[stream.number] = stream
            self._schedule()
        return None

    def go_on(self) -> None:
        """Send what is ready: the client reads again."""
        if self._streams.ready:
            self._schedule()

    def _headers_frame(self, flags: int, stream: Stream, block: bytes) -> bytes:
        if self._before_block:
            block, self._before_block = self._before_block + block, b""
        return frame(_HEADERS, flags, stream.number, block)

    def _schedule(self) -> None:
        if not self._is_scheduled and not self._output.is_paused:
            self._is_scheduled = True
            self._turns.later(self._push_ready)

    def _push_ready(self) -> None:
        """Let the streams that can send take turns, until the windows, the slice or the client's reading end it."""
        self._is_scheduled = False
        ready, windows, output = self._streams.ready, self._windows, self._output
        if self._is_initial_wider:
            self._is_initial_wider = False
            ready |= {
                number: stream
                for number, stream in self._streams.active.items()
                if stream.has_unsent and stream.window > 0
            }
        while ready and windows.connection > 0 and not output.is_paused and not output.is_closed:
            if self._turns.is_over():
                self._schedule()
                return
            self._send_from(ready.pop(next(iter(ready))), SEND_BYTES)

    def _push(self, stream: Stream) -> None:
        """Send what the windows allow, unless other streams wait for the same. Of much, send a part now."""
        if stream.has_data and (self._streams.ready or self._output.is_paused):
            if stream.window > 0:
                self._streams.ready[stream.number] = stream
                self._schedule()
        else:
            self._send_from(stream, FIRST_BYTES)
            if self._streams.ready:
                self._schedule()

    def _send_from(self, stream: Stream, most: int) -> None:
        frames, used = stream.take(min(self._windows.connection, most), self.max_frame_bytes)
        if used:
            self._windows.connection -= used
            self.moved_s = stream.moved_s = self._turns.now_s
            self._guard.earned += PER_DATA_FRAME * len(frames) + (used >> 10)
        if frames:
            self._output.write(b"".join(frames))
        if stream.has_unsent:
            if stream.window > 0:
                self._streams.ready[stream.number] = stream
        elif stream.is_response_complete:
            self._end(stream)
        else:
            self._handler.response_drained(stream)

    def _end(self, stream: Stream) -> None:
        self._streams.finish(stream)
        if self._closing.refuses_requests:
            self._closing.end_if_idle()
