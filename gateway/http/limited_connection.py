"""uvicorn's HTTP/1.1 protocol with limits: on heads, on the time that a client takes, on the number of connections.

It takes Host, blanks and trailers as the RFCs say, ignores `Upgrade`, and refuses in JSON what is no HTTP.
"""

import asyncio
from collections.abc import Iterable
from itertools import islice
from operator import itemgetter
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.errors import BadRequest, GatewayError, TooSlow
from gateway.eventloop.connection_age import lifetime_s
from gateway.http.endpoint import InferenceEndpoint
from gateway.http.head import check_head, fields_by_name, too_large, without_upgrade
from gateway.http.limits import LINGER_BYTES
from gateway.http.response import Response, closing_refusal
from gateway.http.time_limits import Activity, Watch
from gateway.http.upload import fresh_parser

_CANDIDATES = 64
"""Among so many connections the one that is idle longest is closed to make room."""


class LimitedConnection(HttpToolsProtocol):
    """One HTTP/1.1 connection that keeps `InferenceEndpoint.limits`."""

    app: InferenceEndpoint
    fields: dict[bytes, bytes]
    """The headers of the last request, by name."""
    is_refused = False
    """Nothing more is read from this connection. It waits until the client has read why."""
    is_old = False
    """The next response is the last one."""
    progress = False
    """A head was completed, or a part of a body came, in the packet that is being parsed."""
    _refusal: GatewayError | None = None
    """What is wrong with the request that is being parsed, if it is not the parser that finds it."""
    _received = 0
    _packet = 0
    """The length of the packet that is being parsed."""
    _overhead = 0
    """The bytes that arrived since there was progress: of a head, of trailers, of the sizes of chunks."""
    _body_bytes = 0
    """The bytes of the last body that are in the packet that is being parsed."""
    _has_blanks = False
    """A line in the packet that is being parsed ends with a blank."""
    _heads = 0
    _dropped = 0
    """The bytes that came since the connection was refused."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._watch = Watch()
        self._until_s = asyncio.get_running_loop().time() + lifetime_s(self.app.limits.max_age_s)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begin a connection. If there are too many, the one that has been idle longest is closed. The loop calls."""
        super().connection_made(transport)
        if len(self.connections) > self.app.limits.max_connections:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Parse what arrived. The loop calls this."""
        if self.is_refused:
            self._drop(len(data))
            return
        self._packet = len(data)
        self._received += self._packet
        self._body_bytes = 0
        self._has_blanks = b" \r\n" in data or b"\t\r\n" in data
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data, upgrade)
        except httptools.HttpParserError:
            self._refuse_malformed()
            return
        if self.progress:
            self.progress = False
            self._overhead = 0 if self.cycle.scope is self.scope else self._bytes_of_next_head(data)
        else:
            self._overhead += self._packet
        if self._overhead > self.app.limits.max_header_bytes:
            self.refuse(too_large(self.app.limits.max_header_bytes))

    def _bytes_of_next_head(self, data: bytes) -> int:
        """Return how many bytes of `data` belong to a head that is not complete, behind another request.

        They come behind the last empty line, and behind the body after it. If that body has empty lines, too, what is
        known of the head is counted.
        """
        known_bytes = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        line = data.rfind(b"\r\n\r\n")
        return max(len(data) - (line + 4 if line >= 0 else 0) - self._body_bytes, known_bytes, 1)

    def on_body(self, body: bytes) -> None:
        """Count a part of a body. The parser calls this."""
        self.progress = True
        self._body_bytes += len(body)
        super().on_body(body)

    def _drop(self, size: int) -> None:
        """Count what came since the connection was refused. Read no more of a body that is too long."""
        cycle: Any = self.cycle  # None before the first request, whatever uvicorn declares
        self._dropped += size
        if self._dropped > LINGER_BYTES and cycle is not None and cycle.response_complete and cycle.more_body:
            self.transport.pause_reading()

    def linger(self) -> None:
        """End the connection behind the response that is sent.

        A client that is still sending does not read yet, and loses the response if the connection is closed at once. So
        a part of what it sends is read and dropped, and `look` closes the connection a moment later.
        """
        self.is_refused = True
        self.app.turn.flush()
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()

    def _ignore_upgrade(self, data: bytes | memoryview, upgrade: httptools.HttpParserUpgrade) -> None:
        """Feed the head again, without `Upgrade`, and then what follows it."""
        while True:
            method = self.parser.get_method()
            if method == b"CONNECT":
                self.refuse(BadRequest("CONNECT is for proxies, and this is none."))
                return
            head = without_upgrade(method, self.url, self.parser.get_http_version(), self.headers)
            data = memoryview(data)[upgrade.args[0] :]
            self.parser = fresh_parser(self)
            try:
                self.parser.feed_data(head)
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as another:
                upgrade = another
            except httptools.HttpParserError:
                self._refuse_malformed()
                return
            else:
                return

    def _refuse_malformed(self) -> None:
        self.refuse(self._refusal or BadRequest("This is not a request of HTTP/1.1."))

    def on_headers_complete(self) -> None:
        """Check the head, then begin the request. The parser calls this."""
        if self.parser.should_upgrade():
            return  # `_ignore_upgrade` feeds the head again
        limits = self.app.limits
        try:
            check_head(
                self.headers,
                len(self.url),
                limits,
                is_large=self._overhead > 0 or self._packet > limits.max_header_bytes,
                may_have_blanks=self._has_blanks or self._overhead > 0,
            )
            self.fields = fields_by_name(self.headers, needs_host=self.parser.get_http_version() == "1.1")
        except GatewayError as error:
            self._refusal = error
            raise
        self.headers = []  # trailers go here, and nowhere else
        self._body_bytes = 0
        self._heads += 1
        self.progress = True
        super().on_headers_complete()
        if self.is_old:
            self.cycle.keep_alive = False

    def refuse(self, error: GatewayError) -> None:
        """Refuse what arrives, after the responses to the requests before it. Nothing more is read."""
        if self.is_refused or self.transport.is_closing():
            return
        self.is_refused = True
        if self.is_served():
            self.cycle.keep_alive = False  # end after its response; a refusal sent now would be taken for that
            return
        self.app.turn.flush()
        response = closing_refusal(error)
        self.transport.write(self.head_of(response, closes=False) + response.content)
        self.mark_disconnected()
        if isinstance(error, TooSlow):
            self.transport.close()
        else:
            self.linger()

    def look(self, now_s: float) -> None:
        """End the connection if the client takes too long. The server calls this once a second."""
        self.is_old = now_s >= self._until_s
        activity, subject = self._activity()
        if not self._watch.is_overdue(self.app.limits.time, activity, subject, self.received_bytes(), now_s):
            return
        if activity in (Activity.IDLE, Activity.DROPPED):
            self.transport.close()
        elif activity in (Activity.HEAD, Activity.BODY):
            self.refuse(TooSlow("The request took too long to arrive."))
        else:
            self.transport.abort()

    def _activity(self) -> tuple[Activity, int]:
        """Return what the connection does, and a number that tells one such from the next."""
        unread_bytes = self.transport.get_write_buffer_size()
        if unread_bytes:
            return Activity.UNREAD, unread_bytes
        if self.is_served():
            return Activity.SERVED, 0
        if self.is_refused:
            return Activity.REFUSED, 0
        scope: Any = self.scope  # None before the first request, whatever uvicorn declares; so is the cycle
        cycle: Any = self.cycle
        if scope is not None and (cycle is None or cycle.scope is not scope):
            return Activity.HEAD, self._heads
        if cycle is not None and cycle.more_body:
            return Activity.DROPPED if cycle.response_complete else Activity.BODY, self._heads
        return Activity.IDLE, self._received

    def _make_room(self) -> None:
        """Close the connection that has been idle longest, of some. If none is idle, close this one."""
        some: Iterable[Any] = islice(self.connections, _CANDIDATES)
        idle = [(since_s, each) for each in some if (since_s := each.idle_since_s()) is not None]
        closed = min(idle, key=itemgetter(0))[1] if idle else self
        closed.transport.abort()

    def idle_since_s(self) -> float | None:
        """Return since when the connection is idle. None: at the last look it was not."""
        return self._watch.idle_since_s()

    def head_of(self, response: Response, *, closes: bool) -> bytes:
        """Return the bytes of a response before its content. `closes` adds the header that says so."""
        parts = [STATUS_LINE[response.status]]
        for name, value in (*self.server_state.default_headers, *response.headers):
            parts += (name, b": ", value, b"\r\n")
        parts.append(b"connection: close\r\n\r\n" if closes else b"\r\n")
        return b"".join(parts)

    def received_bytes(self) -> int:
        """Return how much has arrived on this connection."""
        return self._received

    def is_served(self) -> bool:
        """Return True if a whole request is here, and its response is not sent."""
        raise NotImplementedError

    def mark_disconnected(self) -> None:
        """Tell the application that the client is gone."""
        raise NotImplementedError
