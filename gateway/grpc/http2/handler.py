"""What an HTTP/2 connection calls when requests arrive."""

from typing import Protocol

from gateway.grpc.http2.stream import Stream


class Handler(Protocol):
    """The user of one connection. It responds through the connection's `sending`, at once or later.

    The calls for one stream come in this order: `request_started`, any number of `body_received`, `request_ended`. A
    call is left out once the handler has completed the response, or after `request_cancelled`.
    """

    def connection_made(self) -> None:
        """Handle a new connection, whose settings are already sent."""

    def connection_lost(self) -> None:
        """Handle the end of the connection. Its streams are cancelled already, and nothing is called any more."""

    def end_when_idle(self) -> None:
        """End the connection after the responses that are due. It is old, and its client was told so a moment ago."""

    def request_started(self, stream: Stream) -> None:
        """Handle a request whose headers have arrived."""

    def request_too_long(self, stream: Stream) -> None:
        """Respond to a request whose headers are too long, instead of `request_started`. It has no headers."""

    def body_unaffordable(self, stream: Stream) -> None:
        """Respond to a request of which more arrived than the process may hold, instead of `body_received`."""

    def request_stalled(self, stream: Stream) -> None:
        """Respond to a request of which nothing has arrived for too long, although the client may send."""

    def body_received(self, stream: Stream) -> None:
        """Handle more of a body, but not its end. The handler removes from `stream.received` what it has used."""

    def request_ended(self, stream: Stream) -> None:
        """Handle a request that has arrived as a whole."""

    def request_cancelled(self, stream: Stream) -> None:
        """Stop working on a request. The client has reset it, has broken the protocol, or is gone."""

    def response_drained(self, stream: Stream) -> None:
        """Go on with a response that is not complete: all that was sent of it so far is on its way."""
