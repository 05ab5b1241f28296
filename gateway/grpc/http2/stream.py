"""One exchange on a connection: a request, and the part of its response that the client's window holds back."""

from collections import deque
from typing import Any

from gateway.grpc.http2.frames import FrameType, frame
from gateway.grpc.http2.headers import HeaderMap
from gateway.grpc.http2.limits import STREAM_WINDOW
from gateway.grpc.http2.send_windows import SendWindows


class Stream:
    """A request and its response.

    `received` is the part of the request's body that the handler has not taken yet. `unread` is how much of it must
    still arrive by its content-length, if it has one. `context` belongs to the handler. `is_open` is True until the
    stream is finished, cancelled or lost. `moved_s` is when a part of the request arrived, or of the response left.

    `ReceiveWindows` keeps the next four. `receive_window` is how much the client may still send. `reserved` is how much
    of the connection's reserve the stream has, `expected` the size of the message for which it waits. `counted` is how
    many bytes count in the budget of unfinished bodies.
    """

    __slots__ = (
        "_trailers",
        "_unsent",
        "_windows",
        "context",
        "counted",
        "expected",
        "headers",
        "is_open",
        "is_request_complete",
        "is_response_complete",
        "moved_s",
        "number",
        "receive_window",
        "received",
        "reserved",
        "unread",
        "window_change",
    )

    def __init__(self, number: int, headers: HeaderMap, windows: SendWindows, now_s: float) -> None:
        self.number = number
        self.headers = headers
        self.moved_s = now_s
        self.received = bytearray()
        self.unread: int | None = None
        self.receive_window = STREAM_WINDOW
        self.reserved = self.expected = self.counted = 0
        self.window_change = 0
        self._windows = windows
        self.is_open = True
        self.is_request_complete = False
        self.is_response_complete = False
        self.context: Any = None
        self._trailers: bytes | None = None
        self._unsent: deque[memoryview] = deque()

    @property
    def window(self) -> int:
        """How many bytes of a response the client accepts now. It may be negative (RFC 9113, section 6.9.2)."""
        return self._windows.initial + self.window_change

    @property
    def has_data(self) -> bool:
        """True if a part of the response's messages waits for a window."""
        return bool(self._unsent)

    @property
    def has_unsent(self) -> bool:
        """True if a part of the response waits for a window."""
        return bool(self._unsent) or self._trailers is not None

    @property
    def unsent_bytes(self) -> int:
        """How many bytes of the response's messages wait for a window."""
        return sum(map(len, self._unsent))

    def put(self, content: bytes | memoryview) -> None:
        """Queue a part of the response."""
        if len(content):
            self._unsent.append(memoryview(content))

    def finish(self, trailers: bytes) -> None:
        """Queue the end of the response: the frame with its trailers."""
        self.is_response_complete = True
        self._trailers = trailers

    def take(self, most: int, max_frame_bytes: int) -> tuple[list[bytes], int]:
        """Return the frames that may be sent, with at most `most` bytes, and how many bytes they have."""
        frames: list[bytes] = []
        used = 0
        while self._unsent:
            part = self._unsent[0]
            size = min(len(part), most - used, self.window, max_frame_bytes)
            if size <= 0:
                return frames, used
            frames.append(frame(FrameType.DATA, 0, self.number, bytes(part[:size])))
            used += size
            self.window_change -= size
            if size == len(part):
                self._unsent.popleft()
            else:
                self._unsent[0] = part[size:]
        if self._trailers is not None:
            frames.append(self._trailers)
            self._trailers = None
        return frames, used
