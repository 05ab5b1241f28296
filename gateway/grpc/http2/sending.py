"""How answers leave a connection: headers, data as the client's windows allow, trailers. Acts on its transport.

Nothing is compressed and no table is kept for it. What the windows do not allow waits in its stream.
"""

import asyncio

from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.grpc.http2.frames import (
    DEFAULT_FRAME_BYTES,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    MOST_WINDOW,
    ConnectionFault,
    ErrorCode,
    FrameType,
    frame,
    head,
)
from gateway.grpc.http2.headers import NO_TABLE
from gateway.grpc.http2.stream import Stream


class SendingSide(asyncio.Protocol):
    """The half of a connection that sends. `streams` are those that are not answered yet, by number."""

    def __init__(self, turn: EndOfTurn) -> None:
        self.streams: dict[int, Stream] = {}
        self.transport: asyncio.Transport
        self._turn = turn
        self._is_over = False
        self._before_block = NO_TABLE
        self._blocked: dict[int, Stream] = {}  # waiting for a window
        self._window = DEFAULT_WINDOW
        self._their_window = DEFAULT_WINDOW
        self._their_frame_bytes = DEFAULT_FRAME_BYTES

    def answer_went(self, stream: Stream) -> None:
        """All that was sent so far of an answer is on its way, and there may be more."""

    def _close(self, stream: Stream) -> None:
        """The answer is out."""

    def write(self, content: bytes) -> None:
        """Sends at the end of the turn."""
        if not self._is_over:
            self._turn.write(self.transport, content)

    def start_answer(self, stream: Stream, block: bytes) -> None:
        """Sends the answer's headers."""
        self.write(self._headers_frame(END_HEADERS, stream, block))

    def send(self, stream: Stream, content: bytes) -> None:
        """Sends a part of the answer, as the windows allow."""
        stream.put(content)
        self._push(stream)

    def finish_answer(self, stream: Stream, block: bytes) -> None:
        """Sends the trailers behind everything else: the answer is complete."""
        stream.finish(self._headers_frame(END_HEADERS | END_STREAM, stream, block))
        self._push(stream)

    def answer(self, stream: Stream, block: bytes, content: bytes, trailers: bytes) -> None:
        """A whole answer: in one write, if the windows allow."""
        size = len(content)
        if size > self._window or size > stream.window or size > self._their_frame_bytes:
            self.start_answer(stream, block)
            stream.put(content)
            self.finish_answer(stream, trailers)
            return
        self._window -= size
        number = stream.number
        self.write(
            b"".join(
                (
                    self._headers_frame(END_HEADERS, stream, block),
                    head.pack(size >> 8, size & 0xFF, FrameType.DATA, 0, number),
                    content,
                    frame(FrameType.HEADERS, END_HEADERS | END_STREAM, number, trailers),
                )
            )
        )
        self._close(stream)

    def _headers_frame(self, flags: int, stream: Stream, block: bytes) -> bytes:
        if self._before_block:
            block, self._before_block = self._before_block + block, b""
        return frame(FrameType.HEADERS, flags, stream.number, block)

    def _move_windows(self, to: int) -> None:
        """Of every stream, those that will come included. Windows may become negative (RFC 9113, section 6.9.2)."""
        change, self._their_window = to - self._their_window, to
        for stream in list(self.streams.values()):
            stream.window += change
        if max((to, *(stream.window for stream in self.streams.values()))) > MOST_WINDOW:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "The window is wider than windows can be.")
        self._push_all()

    def _widen(self, by: int) -> None:
        self._window += by
        if self._window > MOST_WINDOW:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "The window is wider than windows can be.")
        self._push_all()

    def _widen_stream(self, stream: Stream, by: int) -> ErrorCode | None:
        """What is wrong with that, if anything."""
        stream.window += by
        if stream.window > MOST_WINDOW:
            return ErrorCode.FLOW_CONTROL_ERROR
        if stream.has_more:
            self._push(stream)
        return None

    def _push_all(self) -> None:
        for stream in list(self._blocked.values()):
            self._push(stream)

    def _push(self, stream: Stream) -> None:
        """Sends what the windows allow."""
        frames, used = stream.take(self._window, self._their_frame_bytes)
        self._window -= used
        if frames:
            self.write(b"".join(frames))
        if stream.has_more:
            self._blocked[stream.number] = stream
            return
        self._blocked.pop(stream.number, None)
        if stream.is_answered:
            self._close(stream)
        else:
            self.answer_went(stream)
