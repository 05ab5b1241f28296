"""The bytes of one connection on their way to the methods that handle frames, one slice at a time (see `turns`).

While a slice is over, the connection does not read from its socket, and what was read waits here in order. The same
holds while the client does not read: its frames would have responses.
"""

from collections import deque
from collections.abc import Callable, Iterator

from gateway.grpc.http2.frame_reader import Frame, FrameReader
from gateway.grpc.http2.limits import FRAME_BYTES


class Intake:
    """What has arrived on one connection, and has not been handled."""

    def __init__(self) -> None:
        self._reader = FrameReader(FRAME_BYTES)
        self._unread: deque[bytes] = deque()
        self._frames: Iterator[Frame] | None = None

    @property
    def is_empty(self) -> bool:
        """True if nothing waits."""
        return self._frames is None and not self._unread

    @property
    def partial_bytes(self) -> int:
        """How much of an incomplete frame has arrived."""
        return self._reader.partial_bytes

    def add(self, data: bytes) -> None:
        """Add what was read from the socket."""
        self._unread.append(data)

    def clear(self) -> None:
        """Drop what waits: the connection is closed."""
        self._frames = None
        self._unread.clear()

    def work(self, handle: Callable[[Iterator[Frame]], bool]) -> bool:
        """Handle what waits, in order. Return True if nothing is left.

        `handle` takes the frames of an iterator. It returns True at its end, and False if it stopped before.

        Raises:
            ConnectionFault: see `FrameReader` and the methods that handle frames.
        """
        while True:
            if self._frames is None:
                if not self._unread:
                    return True
                self._frames = self._reader.read(self._unread.popleft())
            if not handle(self._frames):
                return False
            self._frames = None
