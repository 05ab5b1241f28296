"""One exchange on a connection, and what of its answer waits for the client's window. Decides."""

from collections import deque
from typing import Any

from gateway.grpc.http2.frames import FrameType, frame
from gateway.grpc.http2.headers import Headers


class Stream:
    """`received` is the request's body so far, `window` how much of an answer the client would take.

    `owner` belongs to whoever answers.
    """

    __slots__ = (
        "_trailers",
        "_waiting",
        "headers",
        "is_answered",
        "is_complete",
        "number",
        "owner",
        "received",
        "window",
    )

    def __init__(self, number: int, headers: Headers, window: int) -> None:
        self.number = number
        self.headers = headers
        self.window = window
        self.received = bytearray()
        self.is_complete = False
        self.is_answered = False
        self.owner: Any = None
        self._trailers: bytes | None = None
        self._waiting: deque[memoryview] = deque()

    @property
    def has_more(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._waiting) or self._trailers is not None

    def put(self, content: bytes | memoryview) -> None:
        """Queues a part of the answer."""
        if len(content):
            self._waiting.append(memoryview(content))

    def finish(self, trailers: bytes) -> None:
        """Queues the answer's end."""
        self.is_answered = True
        self._trailers = trailers

    def take(self, window: int, most_bytes: int) -> tuple[list[bytes], int]:
        """Frames that may be sent now, within the connection's `window`, and how much of it they use."""
        frames: list[bytes] = []
        used = 0
        while self._waiting:
            size = min(len(self._waiting[0]), window - used, self.window, most_bytes)
            if size <= 0:
                return frames, used
            part = self._waiting[0]
            frames.append(frame(FrameType.DATA, 0, self.number, bytes(part[:size])))
            used += size
            self.window -= size
            if size == len(part):
                self._waiting.popleft()
            else:
                self._waiting[0] = part[size:]
        if self._trailers is not None:
            frames.append(self._trailers)
            self._trailers = None
        return frames, used
