"""The state of a gRPC call."""

from gateway.eventloop.body_budget import Holding
from gateway.eventloop.driver import Driver
from gateway.grpc.http2.stream import Stream
from gateway.grpc.messages import Message
from gateway.grpc.method import Method


class Call:
    """The state of one stream's call. `request` and `last_reply` are used by calls of `is_watch` methods only.

    `holding` is what a large message takes beside the bytes that have arrived. `max_message_bytes` is the longest that
    a message may be.
    """

    __slots__ = (
        "driven",
        "has_headers",
        "holding",
        "last_reply",
        "max_message_bytes",
        "method",
        "request",
        "resume_scheduled",
    )

    def __init__(self, method: Method, max_message_bytes: int) -> None:
        self.method = method
        self.max_message_bytes = max_message_bytes if method.max_message_bytes is None else method.max_message_bytes
        self.driven: Driver[bytes] | None = None
        self.has_headers = False
        self.resume_scheduled = False
        self.request = Message(b"", b"", 0)
        self.last_reply: bytes | None = None
        self.holding: Holding | None = None

    def is_watched(self) -> bool:
        """Return True if it is of an `is_watch` method, has had a response, and is not being renewed."""
        return self.method.is_watch and self.has_headers and self.driven is None

    def end_work(self) -> None:
        """Note that the work on a message has ended."""
        self.driven = None
        if self.holding is not None:
            self.holding.close()
            self.holding = None


def is_open(stream: Stream) -> bool:
    """Return True if a call has no complete response, and its client still waits for it."""
    return stream.is_open and not stream.is_response_complete
