"""One exchange on a connection: a request, and the part of its response that the client's window holds back."""

from collections import deque
from typing import Any

from gateway.grpc.http2.frames import FrameType, frame
from gateway.grpc.http2.headers import HeaderMap


class Stream:
    """A request and its response.

    `received` is the part of the request's body that the handler has not taken yet. `window` is how many bytes of a
    response the client accepts now. `context` belongs to the handler. `is_open` is True until the stream is finished,
    cancelled or lost.
    """

    __slots__ = (
        "_trailers",
        "_unsent",
        "context",
        "headers",
        "is_open",
        "is_request_complete",
        "is_response_complete",
        "number",
        "received",
        "window",
    )

    def __init__(self, number: int, headers: HeaderMap, window: int) -> None:
        self.number = number
        self.headers = headers
        self.window = window
        self.received = bytearray()
        self.is_open = True
        self.is_request_complete = False
        self.is_response_complete = False
        self.context: Any = None
        self._trailers: bytes | None = None
        self._unsent: deque[memoryview] = deque()

    @property
    def has_unsent(self) -> bool:
        """True if a part of the response waits for a window."""
        return bool(self._unsent) or self._trailers is not None

    def put(self, content: bytes | memoryview) -> None:
        """Queue a part of the response."""
        if len(content):
            self._unsent.append(memoryview(content))

    def finish(self, trailers: bytes) -> None:
        """Queue the end of the response: the frame with its trailers."""
        self.is_response_complete = True
        self._trailers = trailers

    def take(self, window: int, max_frame_bytes: int) -> tuple[list[bytes], int]:
        """Return the frames that may be sent within the connection's `window`, and how many bytes of it they use."""
        frames: list[bytes] = []
        used = 0
        while self._unsent:
            size = min(len(self._unsent[0]), window - used, self.window, max_frame_bytes)
            if size <= 0:
                return frames, used
            part = self._unsent[0]
            frames.append(frame(FrameType.DATA, 0, self.number, bytes(part[:size])))
            used += size
            self.window -= size
            if size == len(part):
                self._unsent.popleft()
            else:
                self._unsent[0] = part[size:]
        if self._trailers is not None:
            frames.append(self._trailers)
            self._trailers = None
        return frames, used
