"""How long a client may keep what it does not use.

`check` is called about once a second and costs nothing while frames are handled. The limits are those of other servers:
nginx waits 60 s for a part of a body, or until a client takes a part of a response, and Envoy
ends streams that have been idle for five minutes.
"""

import math
from typing import NamedTuple

from gateway.grpc.http2.closing import Closing
from gateway.grpc.http2.control_frames import ControlFrames
from gateway.grpc.http2.frames import ErrorCode
from gateway.grpc.http2.handler import Handler
from gateway.grpc.http2.output import Output
from gateway.grpc.http2.receive_windows import ReceiveWindows
from gateway.grpc.http2.sending import SendingSide
from gateway.grpc.http2.stream import Stream
from gateway.grpc.http2.streams import StreamTable


class TimeLimits(NamedTuple):
    """The limits of one connection.

    `hello_s` is from the connection to the client's settings, `stalled_s` without a byte of a request that is not
    complete, or of a response that the client does not take, and `idle_s` without a call. `life_s` is from the
    connection to its end, which waits for the responses that are due.
    """

    hello_s: float
    stalled_s: float
    idle_s: float
    life_s: float = math.inf


class TimeKeeper:
    """The time limits of one connection, which was made at `now_s`."""

    def __init__(
        self,
        limits: TimeLimits,
        now_s: float,
        output: Output,
        streams: StreamTable,
        closing: Closing,
        handler: Handler,
        receiving: ReceiveWindows,
        control: ControlFrames,
        sending: SendingSide,
    ) -> None:
        self._limits = limits
        self._output = output
        self._streams = streams
        self._closing = closing
        self._handler = handler
        self._receiving = receiving
        self._control = control
        self._sending = sending
        self._made_s = self._used_s = self._taken_s = now_s
        self._newest = 0
        self._unsent_bytes = 0
        self._was_idle = self._was_old = False

    def idle_since_s(self) -> float | None:
        """Return since when the connection has had no call. None: it has one."""
        return None if self._streams.active else self._used_s

    def check(self, now_s: float) -> None:
        """End what has waited for too long."""
        if self._is_unread(now_s):
            self._output.abort()
        elif self._output.is_closed:
            return
        elif not self._control.has_settings:
            if now_s - self._made_s > self._limits.hello_s:
                self._closing.end(ErrorCode.PROTOCOL_ERROR)
        elif now_s - self._made_s > self._limits.life_s and not self._closing.refuses_requests:
            self._end_old()
        elif self._streams.active:
            self._used_s = now_s
            self._end_stalled(now_s)
        else:
            self._end_idle(now_s)

    def _is_unread(self, now_s: float) -> bool:
        """Return True if bytes for the client have waited in the transport for too long, and none of them left."""
        size = self._output.unsent_bytes()
        if size < self._unsent_bytes or not (self._output.is_paused or self._output.is_closed):
            self._taken_s = now_s
        self._unsent_bytes = size
        return now_s - self._taken_s > self._limits.stalled_s

    def _end_stalled(self, now_s: float) -> None:
        if self._output.is_paused:
            return  # nothing is read from the client meanwhile
        before_s = now_s - self._limits.stalled_s
        for stream in [each for each in self._streams.active.values() if each.moved_s < before_s]:
            if not stream.is_open:
                continue  # another one has ended the connection
            if stream.has_unsent:
                self._end_untaken(stream, before_s)
            elif not stream.is_request_complete and not self._receiving.is_waiting(stream):
                self._handler.request_stalled(stream)

    def _end_untaken(self, stream: Stream, before_s: float) -> None:
        """End a stream whose response the client does not take, or the connection if it takes none."""
        if self._sending.moved_s < before_s:
            self._closing.end(ErrorCode.ENHANCE_YOUR_CALM)
        else:
            self._streams.give_up(stream, ErrorCode.CANCEL)

    def _end_old(self) -> None:
        """Announce the end of the connection, and refuse calls from a check later on."""
        if self._was_old:
            self._handler.end_when_idle()
        else:
            self._was_old = True
            self._closing.drain()

    def _end_idle(self, now_s: float) -> None:
        """Announce the end of a connection without calls, and end it a check later."""
        if self._streams.newest != self._newest:
            self._newest, self._used_s = self._streams.newest, now_s
        if now_s - self._used_s > self._limits.idle_s:
            if self._was_idle:
                self._closing.end_when_idle()
            else:
                self._was_idle = True
                self._closing.drain()
        else:
            self._was_idle = False
