"""How much the client may send: the windows of this side, and what one connection may hold of unfinished requests.

A window is renewed when the handler has used bytes, not when they arrive. So a connection never holds more than its
connection window. The windows of its streams must fit into that, or the requests of honest clients could each hold a
part of it and wait for each other for ever. Each stream begins with `STREAM_WINDOW`. A handler that learns of a larger
message calls `expect`. The stream then gets the rest from `reserve`, which suffices for one message of the largest
size. Streams for which too little of the reserve is left wait, first come, first served.

The connection window is the sum: `STREAM_WINDOW` for every stream, the reserve, and what is held back so that not every
call costs a WINDOW_UPDATE.
"""

from typing import Protocol

from gateway.grpc.http2.frames import DEFAULT_FRAME_BYTES, ConnectionFault, ErrorCode, window_update_frame
from gateway.grpc.http2.limits import MAX_STREAMS, RETURN_BYTES, STREAM_WINDOW
from gateway.grpc.http2.output import Output
from gateway.grpc.http2.stream import Stream


class BodyBudget(Protocol):
    """The bytes of unfinished bodies that all connections of a process may hold together."""

    def take(self, count: int, *, is_large: bool = False) -> bool:
        """Take a number of bytes. Return False, and take nothing, if fewer are left. A large body leaves some free."""

    def owe(self, count: int) -> None:
        """Take a number of bytes whether they are left or not."""

    def give(self, count: int) -> None:
        """Give back what was taken."""


class ReceiveWindows:
    """The windows of one connection for what it receives. `size` is the connection's."""

    def __init__(self, output: Output, budget: BodyBudget, *, reserve: int) -> None:
        self.size = MAX_STREAMS * STREAM_WINDOW + reserve + RETURN_BYTES
        self._output = output
        self._budget = budget
        self._left = self.size
        self._used = 0  # used by the handler, and not returned to the client yet
        self._reserve = reserve
        self._waiting: dict[int, Stream] = {}
        self._unread = 0
        self.partial = 0
        """The bytes of incomplete frames that count in the budget."""

    def arrived(self, size: int) -> None:
        """Count the bytes of a DATA frame.

        Raises:
            ConnectionFault: the client has not respected the connection's window.
        """
        self._left -= size
        if self._left < 0:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "There is more data than the window allows.")

    def keep(self, stream: Stream, size: int) -> bool:
        """Count `size` bytes of an unfinished body. Return False if the process holds too many already."""
        if not self._budget.take(size, is_large=stream.counted + size > STREAM_WINDOW):
            return False
        stream.counted += size
        return True

    def hold(self, stream: Stream, size: int) -> None:
        """Count a part of a response that waits in its stream."""
        self._budget.owe(size)
        stream.counted += size

    def settle(self, stream: Stream) -> None:
        """Give back what a stream counts beside what it has received."""
        if stream.counted > len(stream.received):
            self._uncount(stream, stream.counted - len(stream.received))

    def hold_unread(self, size: int) -> None:
        """Count what the transport holds for a client that does not read."""
        self.release_unread()
        self._budget.owe(size)
        self._unread = size

    def release_unread(self) -> None:
        """Give back what `hold_unread` has counted."""
        unread, self._unread = self._unread, 0
        if unread:
            self._budget.give(unread)

    def hold_partial(self, size: int) -> None:
        """Count the parts of frames that have arrived, instead of those before. Short ones do not count.

        Raises:
            ConnectionFault: the process holds too many bytes.
        """
        size = size if size > DEFAULT_FRAME_BYTES else 0
        if size > self.partial and not self._budget.take(size - self.partial, is_large=True):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "The gateway holds too many bytes.")
        if size < self.partial:
            self._budget.give(self.partial - size)
        self.partial = size

    def drop(self, size: int) -> None:
        """Return bytes of which nothing was kept to the connection's window."""
        self._used += size
        if self._used >= RETURN_BYTES:  # one WINDOW_UPDATE for many frames
            self._output.write(window_update_frame(0, self._used))
            self._left += self._used
            self._used = 0

    def drop_padding(self, stream: Stream, size: int) -> None:
        """Return the padding of a body."""
        self.drop(size)
        self._widen(stream, STREAM_WINDOW // 2)

    def consumed(self, stream: Stream, size: int) -> None:
        """Return bytes that the handler has removed from `stream.received` to the windows. They stay in the budget."""
        self.drop(size)
        if stream.reserved:
            self._return_reserve(stream)
        if not stream.is_request_complete:
            self._widen(stream, STREAM_WINDOW // 2)

    def expect(self, stream: Stream, size: int) -> None:
        """Let `stream` hold `size` bytes, now or when other streams have ended."""
        missing = size - len(stream.received) - stream.receive_window
        if missing <= 0 or stream.is_request_complete:
            return
        if size > STREAM_WINDOW + stream.reserved:
            stream.expected = size
            self._waiting[stream.number] = stream
            self._serve()
        else:
            self._widen(stream, 1)

    def is_waiting(self, stream: Stream) -> bool:
        """Return True if the client cannot send more of a stream until others have ended."""
        return stream.receive_window <= 0 or stream.number in self._waiting

    def forget(self, stream: Stream) -> None:
        """Return everything that a stream held: it has ended."""
        if stream.received:
            self.drop(len(stream.received))
            stream.received = bytearray()
        if stream.counted:
            self._uncount(stream, stream.counted)
        self._waiting.pop(stream.number, None)
        if stream.reserved:
            self._return_reserve(stream)

    def _uncount(self, stream: Stream, size: int) -> None:
        stream.counted -= size
        self._budget.give(size)

    def _return_reserve(self, stream: Stream) -> None:
        self._reserve += stream.reserved
        stream.reserved = 0
        self._serve()

    def _serve(self) -> None:
        """Give the reserve to those that wait, in order, as far as it goes."""
        while self._waiting:
            number, stream = next(iter(self._waiting.items()))
            more = stream.expected - STREAM_WINDOW - stream.reserved
            if more > self._reserve:
                return
            del self._waiting[number]
            self._reserve -= more
            stream.reserved += more
            self._widen(stream, 1)

    def _widen(self, stream: Stream, least: int) -> None:
        """Widen a stream's window to what it may hold, unless that is less than `least` bytes."""
        size = STREAM_WINDOW + stream.reserved - len(stream.received) - stream.receive_window
        if size >= least:
            stream.receive_window += size
            self._output.write(window_update_frame(stream.number, size))
