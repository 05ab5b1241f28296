"""The responses of one connection's calls: headers once, then messages, each behind its prefix."""

from gateway.eventloop.offload import LARGE_BYTES
from gateway.grpc.call import Call
from gateway.grpc.http2.sending import SendingSide
from gateway.grpc.http2.stream import Stream
from gateway.grpc.messages import RESPONSE_HEADERS, framed, prefix
from gateway.grpc.status import OK_TRAILERS


class Responses:
    """Sends what the methods of calls return."""

    def __init__(self, sending: SendingSide) -> None:
        self._sending = sending

    def respond(self, stream: Stream, content: bytes) -> None:
        """Send the only response of a call."""
        stream.context.end_work()
        if len(content) <= LARGE_BYTES:
            self._sending.respond(stream, RESPONSE_HEADERS, framed(content), OK_TRAILERS)
        else:
            self._send(stream, content)
            self._sending.finish(stream, OK_TRAILERS)

    def send(self, stream: Stream, content: bytes) -> None:
        """Send one of a stream's responses."""
        stream.context.end_work()
        self._send(stream, content)

    def send_if_changed(self, stream: Stream, content: bytes) -> None:
        """Send the response of an `is_watch` method, unless the client has it already."""
        call: Call = stream.context
        call.end_work()
        if content != call.last_reply:
            call.last_reply = content
            self._send(stream, content)

    def start(self, stream: Stream) -> None:
        """Send the headers, unless they are sent."""
        if not stream.context.has_headers:
            stream.context.has_headers = True
            self._sending.start(stream, RESPONSE_HEADERS)

    def _send(self, stream: Stream, content: bytes) -> None:
        self.start(stream)
        if len(content) <= LARGE_BYTES:
            self._sending.send(stream, framed(content))
        else:  # not copied to put its prefix before it
            self._sending.send(stream, prefix(len(content)), content)
