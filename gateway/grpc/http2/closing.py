"""The end of one connection: GOAWAY, and the moment at which the transport is closed (RFC 9113, section 6.8).

A GOAWAY names the highest stream that will get a response, so that the client can send later requests elsewhere. A
graceful end takes three steps. `drain` sends a GOAWAY that still allows every stream, because requests may be on their
way. `end_when_idle` is called a moment later: from then on new requests are refused. The transport is closed when the
last response is complete. `end` skips the steps and closes the transport now.
"""

from gateway.grpc.http2.frames import MAX_STREAM, ErrorCode, FrameType, frame, word
from gateway.grpc.http2.output import Output
from gateway.grpc.http2.streams import StreamTable


class Closing:
    """The end of one connection. `refuses_requests` is True from `end_when_idle` on."""

    def __init__(self, output: Output, streams: StreamTable) -> None:
        self.refuses_requests = False
        self._output = output
        self._streams = streams
        self._is_draining = False
        self._last_stream = MAX_STREAM  # the last GOAWAY's; it may only become lower

    def drain(self) -> None:
        """Tell the client to open its next requests elsewhere. Requests that are on their way are still accepted."""
        if not self._is_draining:
            self._is_draining = True
            self._send_goaway(ErrorCode.NO_ERROR)

    def end_when_idle(self) -> None:
        """Refuse requests from now on, and end the connection after the last response. Call `drain` before."""
        self.refuses_requests = True
        self._last_stream = self._streams.newest
        if self._streams.active:
            self._send_goaway(ErrorCode.NO_ERROR)
        else:
            self.end(ErrorCode.NO_ERROR)

    def end_if_idle(self) -> None:
        """End the connection if it refuses requests and has none left."""
        if self.refuses_requests and not self._streams.active:
            self.end(ErrorCode.NO_ERROR)

    def end(self, code: ErrorCode) -> None:
        """End the connection now, and tell the client why."""
        if self._output.is_closed:
            return
        self._last_stream = min(self._last_stream, self._streams.newest)
        self._send_goaway(code)
        self._output.close()

    def _send_goaway(self, code: ErrorCode) -> None:
        self._output.write(frame(FrameType.GOAWAY, 0, 0, word.pack(self._last_stream) + word.pack(code)))
