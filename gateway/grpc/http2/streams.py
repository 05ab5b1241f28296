"""The streams of one connection, and how each of them ends.

A client numbers its streams with growing odd numbers and never uses a number twice. A stream ends in one of three ways:
its response is complete (`finish`), the client is to blame (`cancel`, `give_up`), or the connection is lost
(`cancel_all`). A request may also be refused before it becomes a stream (`refuse`).

After this side has reset a stream, the client may go on sending for it until it reads the RST_STREAM. A header block
for such a stream is therefore not an error. The table remembers the numbers of the last `MAX_STREAMS` such resets.
"""

from collections import deque

from gateway.grpc.http2.frames import DEFAULT_WINDOW, ConnectionFault, ErrorCode, reset_frame
from gateway.grpc.http2.handler import Handler
from gateway.grpc.http2.headers import HeaderMap
from gateway.grpc.http2.limits import MAX_RESETS, MAX_STREAMS
from gateway.grpc.http2.output import Output
from gateway.grpc.http2.stream import Stream


class StreamTable:
    """The streams of one connection.

    `active` holds those without a complete response, by number. `blocked` holds those of them that wait for a window of
    the client. `newest` is the highest number that the client has used. `initial_window` is the window of new streams.
    """

    def __init__(self, output: Output, handler: Handler) -> None:
        self.active: dict[int, Stream] = {}
        self.blocked: dict[int, Stream] = {}
        self.newest = 0
        self.initial_window = DEFAULT_WINDOW
        self._output = output
        self._handler = handler
        self._resets = 0
        self._reset_numbers: deque[int] = deque(maxlen=MAX_STREAMS)

    def open(self, number: int, headers: HeaderMap) -> Stream:
        """Return a new stream."""
        stream = self.active[number] = Stream(number, headers, self.initial_window)
        return stream

    def require_opened(self, number: int) -> None:
        """Reject the number of a stream that the client has not opened yet.

        Raises:
            ConnectionFault: the client has used no such number.
        """
        if not 0 < number <= self.newest:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "The stream was never opened.")

    def was_reset(self, number: int) -> bool:
        """Return True if this side has reset a stream and the client may not know it yet."""
        return number in self._reset_numbers

    def refuse(self, number: int, code: ErrorCode) -> None:
        """Reset a stream for which the client may go on sending for a while."""
        self._reset_numbers.append(number)
        self._output.write(reset_frame(number, code))

    def finish(self, stream: Stream) -> None:
        """Remove a stream whose response is complete."""
        self._resets = max(0, self._resets - 1)
        stream.is_open = False
        self.active.pop(stream.number, None)
        if not stream.is_request_complete:  # the client need not send the rest (RFC 9113, section 8.1)
            self.refuse(stream.number, ErrorCode.NO_ERROR)

    def give_up(self, stream: Stream, code: ErrorCode) -> None:
        """Reset a stream on which the client broke the protocol.

        Raises:
            ConnectionFault: see `cancel`.
        """
        self.refuse(stream.number, code)
        self.cancel(stream)

    def cancel(self, stream: Stream) -> None:
        """Remove a stream that gets no response, for which the client is to blame.

        Raises:
            ConnectionFault: the client has caused too many resets.
        """
        del self.active[stream.number]
        self.blocked.pop(stream.number, None)
        stream.is_open = False
        self._handler.request_cancelled(stream)
        self._resets += 1
        if self._resets > MAX_RESETS:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "Too many requests were opened and reset.")

    def cancel_all(self) -> None:
        """Remove every stream: the connection is lost."""
        streams = list(self.active.values())
        self.active.clear()
        self.blocked.clear()
        for stream in streams:
            stream.is_open = False
        for stream in streams:
            self._handler.request_cancelled(stream)
