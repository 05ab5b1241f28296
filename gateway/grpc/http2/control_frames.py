"""The frames that carry no part of a request: settings, windows, resets, pings, GOAWAY, priorities."""

from gateway.grpc.http2.flood_guard import FloodGuard
from gateway.grpc.http2.frames import (
    ACK,
    DEFAULT_FRAME_BYTES,
    MAX_FRAME_BYTES,
    MAX_WINDOW,
    PING_BYTES,
    PRIORITY_BYTES,
    ConnectionFault,
    ErrorCode,
    FrameType,
    SettingId,
    frame,
    setting,
    word,
)
from gateway.grpc.http2.limits import MAX_SETTINGS
from gateway.grpc.http2.output import Output
from gateway.grpc.http2.sending import SendingSide
from gateway.grpc.http2.streams import StreamTable


class ControlFrames:
    """The control frames of one connection. `has_settings` is True once the client's first SETTINGS has arrived."""

    def __init__(self, output: Output, streams: StreamTable, sending: SendingSide, guard: FloodGuard) -> None:
        self.has_settings = False
        self._guard = guard
        self._output = output
        self._streams = streams
        self._sending = sending

    def on_settings(self, flags: int, number: int, payload: bytes) -> None:
        """Apply the client's settings and acknowledge them."""
        if number:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "Settings must be on stream 0.")
        if len(payload) % setting.size or (flags & ACK and payload):
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "The settings are cut off, or too long.")
        if flags & ACK and not self.has_settings:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "The first frame must be the client's own settings.")
        self.has_settings = True
        self._guard.count_useless()
        if flags & ACK:
            return
        if len(payload) > MAX_SETTINGS * setting.size:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "There are too many settings.")
        given = dict(setting.iter_unpack(payload))  # of a setting that comes twice, the last counts
        if given.get(SettingId.ENABLE_PUSH, 0) > 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH must be 0 or 1.")
        frame_bytes = given.get(SettingId.MAX_FRAME_SIZE, self._sending.max_frame_bytes)
        if not DEFAULT_FRAME_BYTES <= frame_bytes <= MAX_FRAME_BYTES:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "MAX_FRAME_SIZE is out of range.")
        self._sending.max_frame_bytes = frame_bytes
        self._output.write(frame(FrameType.SETTINGS, ACK, 0))  # before the data that the new windows allow
        if SettingId.INITIAL_WINDOW_SIZE in given:
            self._sending.move_windows(given[SettingId.INITIAL_WINDOW_SIZE])

    def on_window_update(self, _: int, number: int, payload: bytes) -> None:
        """Widen the window of the connection or of a stream."""
        if len(payload) != word.size:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "A WINDOW_UPDATE must have four bytes.")
        self._guard.count_control()
        size = word.unpack(payload)[0] & MAX_WINDOW
        if number:
            self._streams.require_opened(number)
            stream = self._streams.active.get(number)
            if stream is not None:
                fault = self._sending.widen_stream(stream, size) if size else ErrorCode.PROTOCOL_ERROR
                if fault is not None:
                    self._streams.give_up(stream, fault)
        elif size:
            self._sending.widen(size)
        else:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "A WINDOW_UPDATE must be by more than 0.")

    def on_reset(self, _: int, number: int, payload: bytes) -> None:
        """Cancel a request."""
        if len(payload) != word.size:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "A RST_STREAM must have four bytes.")
        self._streams.require_opened(number)
        stream = self._streams.active.get(number)
        if stream is not None:
            self._streams.cancel(stream)
        elif self._streams.was_reset(number):
            self._guard.count_control()
        else:  # a call that was answered before its reset arrived has cost as much
            self._guard.count_reset()

    def on_ping(self, flags: int, number: int, payload: bytes) -> None:
        """Send a ping back."""
        _require_form(number, len(payload) == PING_BYTES, "A PING must have eight bytes")
        self._guard.count_control()
        if not flags & ACK:
            self._output.write(frame(FrameType.PING, ACK, 0, payload))

    def on_goaway(self, _: int, number: int, payload: bytes) -> None:
        """Check a GOAWAY. Nothing follows from it: the client closes the connection when it has its responses."""
        _require_form(number, len(payload) >= 2 * word.size, "A GOAWAY must have eight bytes or more")
        self._guard.count_useless()

    def on_priority(self, _: int, number: int, payload: bytes) -> None:
        """Check a priority, which RFC 9113 allows to ignore."""
        if not number or len(payload) != PRIORITY_BYTES:
            raise ConnectionFault(
                ErrorCode.FRAME_SIZE_ERROR if number else ErrorCode.PROTOCOL_ERROR,
                "A PRIORITY must have five bytes and be on a stream.",
            )
        self._guard.count_control()

    def on_unknown(self, _: int, __: int, ___: bytes) -> None:
        """Ignore a frame of an unknown type (RFC 9113, section 4.1)."""
        self._guard.count_useless()

    def on_push_promise(self, _: int, __: int, ___: bytes) -> None:
        """Reject a push: only servers may promise one."""
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "A client must not send PUSH_PROMISE.")


def _require_form(number: int, has_length: bool, rule: str) -> None:
    """Reject a frame that has the wrong length or is not on stream 0."""
    if number or not has_length:
        code = ErrorCode.PROTOCOL_ERROR if number else ErrorCode.FRAME_SIZE_ERROR
        raise ConnectionFault(code, f"{rule} and be on stream 0.")
