"""How responses leave a connection: headers, data as the client's windows allow, trailers.

Nothing is compressed, and no header table is kept. What the windows do not allow waits in its stream.
"""

from gateway.grpc.http2.closing import Closing
from gateway.grpc.http2.frames import (
    DEFAULT_FRAME_BYTES,
    DEFAULT_WINDOW,
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
from gateway.grpc.http2.output import Output
from gateway.grpc.http2.stream import Stream
from gateway.grpc.http2.streams import StreamTable

_HEADERS, _DATA = FrameType.HEADERS, FrameType.DATA  # each look-up in the enum takes 70 ns in Python 3.11


class SendingSide:
    """The half of one connection that sends. A handler responds with `respond`, or with `start`, `send` and `finish`.

    `max_frame_bytes` is the longest frame that the client accepts.
    """

    def __init__(self, output: Output, streams: StreamTable, closing: Closing, handler: Handler) -> None:
        self.max_frame_bytes = DEFAULT_FRAME_BYTES
        self._output = output
        self._streams = streams
        self._closing = closing
        self._handler = handler
        self._window = DEFAULT_WINDOW
        self._before_block = NO_TABLE

    def start(self, stream: Stream, block: bytes) -> None:
        """Send the headers of a response."""
        self._output.write(self._headers_frame(END_HEADERS, stream, block))

    def send(self, stream: Stream, content: bytes) -> None:
        """Send a part of a response, as far as the windows allow."""
        stream.put(content)
        self._push(stream)

    def finish(self, stream: Stream, block: bytes) -> None:
        """Send the trailers, after everything else: the response is complete."""
        stream.finish(self._headers_frame(END_HEADERS | END_STREAM, stream, block))
        self._push(stream)

    def respond(self, stream: Stream, block: bytes, content: bytes, trailers: bytes) -> None:
        """Send a whole response, in a single write if the windows allow."""
        size = len(content)
        if size > self._window or size > stream.window or size > self.max_frame_bytes:
            self.start(stream, block)
            stream.put(content)
            self.finish(stream, trailers)
            return
        self._window -= size
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
        change, self._streams.initial_window = size - self._streams.initial_window, size
        active = list(self._streams.active.values())
        for stream in active:
            stream.window += change
        if max((size, *(stream.window for stream in active))) > MAX_WINDOW:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "The window is wider than windows can be.")
        self._push_blocked()

    def widen(self, size: int) -> None:
        """Widen the connection's window.

        Raises:
            ConnectionFault: it becomes wider than windows can be.
        """
        self._window += size
        if self._window > MAX_WINDOW:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "The window is wider than windows can be.")
        self._push_blocked()

    def widen_stream(self, stream: Stream, size: int) -> ErrorCode | None:
        """Widen a stream's window. Return the error if it becomes wider than windows can be."""
        stream.window += size
        if stream.window > MAX_WINDOW:
            return ErrorCode.FLOW_CONTROL_ERROR
        if stream.has_unsent:
            self._push(stream)
        return None

    def _headers_frame(self, flags: int, stream: Stream, block: bytes) -> bytes:
        if self._before_block:
            block, self._before_block = self._before_block + block, b""
        return frame(_HEADERS, flags, stream.number, block)

    def _push_blocked(self) -> None:
        for stream in list(self._streams.blocked.values()):
            self._push(stream)

    def _push(self, stream: Stream) -> None:
        """Send what the windows allow."""
        frames, used = stream.take(self._window, self.max_frame_bytes)
        self._window -= used
        if frames:
            self._output.write(b"".join(frames))
        if stream.has_unsent:
            self._streams.blocked[stream.number] = stream
            return
        self._streams.blocked.pop(stream.number, None)
        if stream.is_response_complete:
            self._end(stream)
        else:
            self._handler.response_drained(stream)

    def _end(self, stream: Stream) -> None:
        self._streams.finish(stream)
        if self._closing.refuses_requests:
            self._closing.end_if_idle()
