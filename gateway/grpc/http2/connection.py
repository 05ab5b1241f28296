"""One HTTP/2 connection, the server's side.

Theory of operation: `Intake` splits the bytes into frames, and each frame type has a method in `RequestFrames` or
`ControlFrames`. These keep the `StreamTable` and call the `Handler`, which responds through `SendingSide`.
`ReceiveWindows` decides how much the client may send. `Closing` ends the connection. `Output` is where all of them
write. The parts refer to each other in one direction only, so a lost connection is freed at once and not by the garbage
collector.

When the client breaks the protocol, its stream ends with RST_STREAM, or the connection with a GOAWAY that has the error
code. What a client may make the connection hold is bounded (`limits`), and so are the time that it takes from other
connections (`turns`), what it may send for nothing (`flood_guard`), and how long it may wait (`time_limits`).
"""

import asyncio
import time
from collections.abc import Callable, Iterator

from gateway.grpc.http2.closing import Closing
from gateway.grpc.http2.control_frames import ControlFrames
from gateway.grpc.http2.flood_guard import FloodGuard
from gateway.grpc.http2.frame_reader import Frame
from gateway.grpc.http2.frames import (
    DEFAULT_FRAME_BYTES,
    DEFAULT_WINDOW,
    ConnectionFault,
    ErrorCode,
    FrameType,
    SettingId,
    settings_frame,
    window_update_frame,
)
from gateway.grpc.http2.handler import Handler
from gateway.grpc.http2.intake import Intake
from gateway.grpc.http2.limits import FRAME_BYTES, MAX_HEADER_BYTES, MAX_STREAMS, STREAM_WINDOW
from gateway.grpc.http2.output import Output
from gateway.grpc.http2.receive_windows import BodyBudget, ReceiveWindows
from gateway.grpc.http2.request_frames import RequestFrames
from gateway.grpc.http2.sending import SendingSide
from gateway.grpc.http2.stream import Stream
from gateway.grpc.http2.streams import StreamTable
from gateway.grpc.http2.time_limits import TimeKeeper, TimeLimits
from gateway.grpc.http2.turns import Turns

FrameHandler = Callable[[int, int, bytes], None]
"""Takes a frame's flags, stream and payload. Raises `ConnectionFault`."""

_SETTINGS, _CONTINUATION = FrameType.SETTINGS, FrameType.CONTINUATION


class Http2Connection(asyncio.Protocol):
    """A connection whose requests go to `handler`.

    `write(transport, content)` and `flush()` are described at `Output`. `max_body_bytes` is the most of a body that a
    handler asks for with `expect`. `sending` is for the handler's responses, `closing` ends the connection, and
    `streams` are the requests without a complete response, by number.
    """

    def __init__(
        self,
        handler: Handler,
        write: Callable[[asyncio.Transport, bytes], None],
        flush: Callable[[], None],
        *,
        max_body_bytes: int,
        budget: BodyBudget,
        time_limits: TimeLimits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._handler = handler
        self._turns = turns = Turns(clock)
        self._intake = Intake()
        self._is_queued = False
        guard = FloodGuard(clock)
        self._output = output = Output(write, flush)
        self._receiving = receiving = ReceiveWindows(output, budget, reserve=max_body_bytes)
        self._table = table = StreamTable(output, handler, guard, receiving)
        self.streams = table.active
        self.closing = Closing(output, table)
        self.sending = SendingSide(output, table, self.closing, handler, turns, guard)
        self._requests = RequestFrames(table, self.closing, handler, receiving, turns, guard)
        self._control = ControlFrames(output, table, self.sending, guard)
        self._frame_handlers = self._by_type()
        self._keeper = TimeKeeper(
            time_limits, clock(), output, table, self.closing, handler, receiving, self._control, self.sending
        )

    @property
    def is_paused(self) -> bool:
        """True while the client does not read."""
        return self._output.is_paused

    def consumed(self, stream: Stream, size: int) -> None:
        """Let the client send `size` more bytes. The handler has used as many and removed them from `received`."""
        self._receiving.consumed(stream, size)

    def expect(self, stream: Stream, size: int) -> None:
        """Let the client send the rest of a message of `size` bytes, which is the first in `received`."""
        self._receiving.expect(stream, size)

    def settle(self, stream: Stream) -> None:
        """Give back what a stream counts in the budget beside what it has received: its last message has its response.

        For a stream that ends, that is done by itself.
        """
        self._receiving.settle(stream)

    def later(self, work: Callable[[], None]) -> None:
        """Call `work` when it is this connection's turn again."""
        self._turns.later(work)

    def idle_since_s(self) -> float | None:
        """Return since when the connection has had no call, as of the last look. None: it has one."""
        return self._keeper.idle_since_s()

    def look(self, now_s: float) -> None:
        """End what has waited for too long. To be called about once a second."""
        self._keeper.check(now_s)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send this side's settings. Called by the event loop."""
        self._output.transport = transport  # type: ignore[assignment]  # a stream's transport can be written to
        settings = {
            SettingId.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
            SettingId.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
            SettingId.MAX_FRAME_SIZE: FRAME_BYTES,
            SettingId.MAX_HEADER_LIST_SIZE: MAX_HEADER_BYTES,
        }
        self._output.write(settings_frame(settings) + window_update_frame(0, self._receiving.size - DEFAULT_WINDOW))
        self._handler.connection_made()
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() != "h2":  # RFC 9113, section 3.2
            self._output.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the signature is asyncio's
        """Cancel every request. Called by the event loop."""
        self._output.is_closed = True
        self._intake.clear()
        self._turns.clear()
        self._table.cancel_all()
        self._receiving.release_unread()
        self._receiving.hold_partial(0)
        self._handler.connection_lost()

    def pause_writing(self) -> None:
        """Stop reading from a client that does not read. Called by the transport."""
        self._output.pause()
        self._receiving.hold_unread(self._output.unsent_bytes())

    def resume_writing(self) -> None:
        """Read and send again. Called by the transport."""
        self._receiving.release_unread()
        if self._output.resume():
            self._queue_intake()
            self.sending.go_on()
            for stream in list(self.streams.values()):
                if not stream.has_unsent:
                    self._handler.response_drained(stream)

    def data_received(self, data: bytes) -> None:
        """Handle the frames that `data` completes, now or in later turns. Called by the event loop."""
        output, turns = self._output, self._turns
        if output.is_closed:
            output.drop(len(data))
            return
        self._intake.add(data)
        if self._is_queued or output.is_paused:
            return
        if turns.begin():
            self._work()
            turns.end()
        else:
            self._queue_intake()

    def _queue_intake(self) -> None:
        """Go on with what has arrived when it is this connection's turn again."""
        if self._intake.is_empty or self._is_queued or self._output.is_paused:
            return
        self._is_queued = True
        self._output.hold(True)
        self._turns.later(self._go_on)

    def _go_on(self) -> None:
        self._is_queued = False
        if not self._output.is_paused and not self._output.is_closed:
            self._work()

    def _work(self) -> None:
        try:
            is_done = self._intake.work(self._handle)
            partial_bytes = self._intake.partial_bytes + self._requests.partial_bytes
            if partial_bytes > DEFAULT_FRAME_BYTES or self._receiving.partial:
                self._receiving.hold_partial(partial_bytes)
        except ConnectionFault as fault:
            self.closing.end(fault.code)
        else:
            if is_done:
                self._output.hold(False)
                return
        if self._output.is_closed:
            self._intake.clear()
        else:
            self._queue_intake()

    def _handle(self, frames: Iterator[Frame]) -> bool:
        """Handle frames until the slice is over. Return True if none is left.

        Raises:
            ConnectionFault: the client broke the protocol.
        """
        output, requests, control, closing = self._output, self._requests, self._control, self.closing
        clock, until_s = self._turns.clock, self._turns.until_s
        handler_of, on_unknown = self._frame_handlers.get, control.on_unknown
        for kind, flags, number, payload in frames:
            if requests.open_block is not None and kind != _CONTINUATION:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "The next frame must be CONTINUATION.")
            if not control.has_settings and kind != _SETTINGS:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "The first frame must be SETTINGS.")
            handler_of(kind, on_unknown)(flags, number, payload)
            if closing.refuses_requests:  # the frame may have cancelled the last stream
                closing.end_if_idle()
            if output.is_closed or clock() >= until_s:
                return False
        return True

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
