"""The streams of one connection, and how each of them ends.

A client numbers its streams with growing odd numbers and never uses a number twice. A stream ends in one of three ways:
its response is complete (`finish`), the client is to blame (`cancel`, `give_up`), or the connection is lost
(`cancel_all`). A request may also be refused before it becomes a stream (`refuse`).

After this side has reset a stream, the client may go on sending for it until it reads the RST_STREAM, as far as the
stream's window allows. A frame for such a stream is therefore not an error. The table remembers the numbers of the last
resets, with what was left of their windows, and of the last streams that ended in another way, for which a frame is an
error.
"""

from collections import deque

from gateway.grpc.http2.flood_guard import PER_STREAM, FloodGuard
from gateway.grpc.http2.frames import ConnectionFault, ErrorCode, reset_frame
from gateway.grpc.http2.handler import Handler
from gateway.grpc.http2.headers import HeaderMap
from gateway.grpc.http2.limits import REMEMBERED_STREAMS, STREAM_WINDOW
from gateway.grpc.http2.output import Output
from gateway.grpc.http2.receive_windows import ReceiveWindows
from gateway.grpc.http2.send_windows import SendWindows
from gateway.grpc.http2.stream import Stream


class StreamTable:
    """The streams of one connection.

    `active` holds those without a complete response, by number. `ready` holds those of them that have something to send
    and whose own window allows it. `newest` is the highest number that the client has used.
    """

    def __init__(self, output: Output, handler: Handler, guard: FloodGuard, receiving: ReceiveWindows) -> None:
        self.active: dict[int, Stream] = {}
        self.ready: dict[int, Stream] = {}
        self.newest = 0
        self.windows = SendWindows()
        self._output = output
        self._handler = handler
        self._guard = guard
        self._receiving = receiving
        self._reset_windows: dict[int, int] = {}
        self._ended_numbers: deque[int] = deque(maxlen=REMEMBERED_STREAMS)

    def open(self, number: int, headers: HeaderMap, now_s: float) -> Stream:
        """Return a new stream."""
        self._guard.earned += PER_STREAM
        stream = self.active[number] = Stream(number, headers, self.windows, now_s)
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
        return number in self._reset_windows

    def count_late(self, number: int, size: int) -> None:
        """Count data for a stream that this side has reset.

        Raises:
            ConnectionFault: the client has not respected the stream's window.
        """
        self._reset_windows[number] -= size
        if self._reset_windows[number] < 0:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "There is more data than the stream's window allowed.")

    def has_ended(self, number: int) -> bool:
        """Return True if the client knows that a stream has ended. Only the last ones are remembered."""
        return number in self._ended_numbers

    def refuse(self, number: int, code: ErrorCode) -> None:
        """Reset a stream that was not opened, or has ended.

        Raises:
            ConnectionFault: the client has caused too many resets.
        """
        self._reset(number, code, STREAM_WINDOW)
        self._guard.count_reset()

    def finish(self, stream: Stream) -> None:
        """Remove a stream whose response is complete."""
        number = stream.number
        stream.is_open = False
        self.active.pop(number, None)
        if stream.is_request_complete:
            self._ended_numbers.append(number)
        else:  # the client need not send the rest (RFC 9113, section 8.1)
            self._reset(number, ErrorCode.NO_ERROR, stream.receive_window)
        if stream.received or stream.counted or stream.reserved:
            self._receiving.forget(stream)

    def hold(self, stream: Stream) -> None:
        """Count the part of a response that waits, until its stream ends or goes on with the next message."""
        self._receiving.hold(stream, stream.unsent_bytes)

    def give_up(self, stream: Stream, code: ErrorCode) -> None:
        """Reset a stream on which the client broke the protocol.

        Raises:
            ConnectionFault: the client has caused too many resets.
        """
        self._reset(stream.number, code, stream.receive_window)
        self._remove(stream)

    def cancel(self, stream: Stream) -> None:
        """Remove a stream that the client has reset.

        Raises:
            ConnectionFault: the client has caused too many resets.
        """
        self._ended_numbers.append(stream.number)
        self._remove(stream)

    def cancel_all(self) -> None:
        """Remove every stream: the connection is lost."""
        streams = list(self.active.values())
        self.active.clear()
        self.ready.clear()
        for stream in streams:
            stream.is_open = False
        for stream in streams:
            self._receiving.forget(stream)
            self._handler.request_cancelled(stream)

    def _reset(self, number: int, code: ErrorCode, window: int) -> None:
        windows = self._reset_windows
        if len(windows) >= REMEMBERED_STREAMS:
            del windows[next(iter(windows))]
        windows[number] = window
        self._output.write(reset_frame(number, code))

    def _remove(self, stream: Stream) -> None:
        del self.active[stream.number]
        self.ready.pop(stream.number, None)
        stream.is_open = False
        self._receiving.forget(stream)
        self._handler.request_cancelled(stream)
        self._guard.count_reset()
