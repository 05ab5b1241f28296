"""How much the client accepts: its window for the connection, and the initial window of its streams."""

from gateway.grpc.http2.frames import DEFAULT_WINDOW


class SendWindows:
    """`connection` is what the client accepts now on all streams together.

    The window of a stream is `initial` and what the stream itself has used and gained since (`Stream.window_change`).
    So a client that changes its initial window changes one number here, and not one per stream.
    """

    __slots__ = ("connection", "initial")

    def __init__(self) -> None:
        self.connection = self.initial = DEFAULT_WINDOW
