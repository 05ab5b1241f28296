"""uvicorn's HTTP/1.1 protocol, with predictions run inside the parser's callback instead of in a task.

For a model that takes microseconds, most of a request's time goes into what surrounds it: a task per request, ASGI
messages, two writes to the socket (docs/decisions/001). A plain prediction does without them:

1. uvicorn calls `_start_asgi_task` when the headers are complete. No task is started.
2. The parser calls `on_body` with each part of the body. A large body goes into an `Upload` instead.
3. The parser calls `on_message_complete` after the last byte. The prediction's coroutine runs there, until it has to
   wait for its batch.
4. When the batch is done, the coroutine runs to its end, and the response goes out in one write.

Every other request goes through ASGI to the same endpoint: another path, a body without Content-Length, a request
with others queued behind it, a client that waits for 100 Continue or does not read its responses.
"""

import time
from functools import partial
from typing import Any

import structlog
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from gateway.errors import Overloaded
from gateway.eventloop.body_budget import Holding
from gateway.eventloop.driver import Driver
from gateway.eventloop.offload import LARGE_BYTES
from gateway.http.endpoint import InferenceEndpoint
from gateway.http.half_closed import HalfClosed
from gateway.http.limited_connection import LimitedConnection
from gateway.http.response import Response
from gateway.http.unwanted_body import ending_if_unread, is_long
from gateway.http.upload import Upload, fresh_parser
from gateway.protocols.paths import is_prediction

_log = structlog.get_logger()


class HttpConnection(LimitedConnection):
    """One HTTP/1.1 connection.

    Two requests matter at a time. `cycle` is uvicorn's: the last one parsed, which may be queued behind another.
    `_current` is ours: the one that is being served, by ASGI or here.
    """

    _current: RequestResponseCycle | None = None
    _receiving: RequestResponseCycle | None = None
    """A prediction whose body is still arriving."""
    _headers: dict[bytes, bytes]
    _upload: Upload | None = None
    _driver: Driver[Response] | None = None
    """Runs the prediction that waits for its batch."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._holding = Holding(self.app.budget)
        self._unread = Holding(self.app.budget)
        """What waits for a client that reads slowly."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Begin a request. uvicorn calls this when its headers are complete and the response before it is sent."""
        if self.transport.is_closing():
            return  # pipelined behind the connection's last response: there is no way to send another
        self._current = cycle
        if cycle.more_body and isinstance(app, InferenceEndpoint) and self._take_over(cycle, app):
            self._receiving = None if cycle.response_complete else cycle
        else:
            super()._start_asgi_task(cycle, ending_if_unread(app, cycle, self))

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, then let a large body bypass the parser. The loop calls this."""
        super().data_received(data)
        if self._receiving is not None and not self.is_refused:
            self._go_on_receiving()

    def _go_on_receiving(self) -> None:
        """Let a large body bypass the parser. Count a small one, which is here only in part."""
        if self._upload is not None:
            self._upload.divert()
        elif not self._holding.held:
            try:
                self._holding.add(int(self._headers[b"content-length"]))
            except Overloaded as error:
                self.refuse(error)

    def received_bytes(self) -> int:
        """Return how much has arrived on this connection."""
        return super().received_bytes() + (0 if self._upload is None else self._upload.filled)

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body. The parser calls this."""
        if self._upload is None:
            super().on_body(body)
            return
        self.progress = True
        self._body_bytes += len(body)
        try:
            self._upload.take(body)
        except Overloaded as error:
            self._drop_upload()
            self._refusal = error
            raise

    def on_message_complete(self) -> None:
        """Run the prediction whose body is now complete. The parser calls this."""
        if self.parser.should_upgrade():
            return  # the head alone was parsed, and is fed again
        super().on_message_complete()
        self.cycle.more_body = False  # also if the response is sent already
        cycle = self._receiving
        if cycle is not None:
            self._receiving = None
            upload, self._upload = self._upload, None
            self._run(cycle, bytes(cycle.body) if upload is None else upload.body)

    def upload_complete(self) -> None:
        """Run the prediction whose diverted body is now complete. `Upload` calls this: the parser saw no end."""
        self.parser = fresh_parser(self)
        self.on_message_complete()

    def upload_refused(self, error: Overloaded) -> None:
        """Refuse the rest of a body. `Upload` calls this."""
        self._drop_upload()
        self.refuse(error)

    def _drop_upload(self) -> None:
        self._receiving = self._upload = None
        self._holding.release()

    def pause_writing(self) -> None:
        """Count what the client has not read. The transport calls this when that is above a mark."""
        super().pause_writing()
        self._unread.owe(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Go on. The transport calls this when the client has read nearly everything."""
        super().resume_writing()
        self._unread.release()

    def on_response_complete(self) -> None:
        """Go on to the next request. uvicorn calls this after a response. It sets a timer here; `look` needs none."""
        if self.pipeline:
            super().on_response_complete()
        else:
            self.server_state.total_requests += 1
            self.flow.resume_reading()

    def is_served(self) -> bool:
        """Return True if a whole request is here, and its response is not sent."""
        current = self._current
        return current is not None and not current.response_complete and not current.more_body

    def eof_received(self) -> bool | None:  # type: ignore[override]  # asyncio's signature; uvicorn returns nothing
        """Keep the connection until the response is sent, if the request is complete. The loop calls this at a FIN.

        Without this the loop closes the connection, as uvicorn wants it. TLS has no half-closed connections.
        """
        current = self._current
        if self.is_refused or current is None or self.cycle.response_complete or self.cycle.more_body:
            return None
        if self.scheme == "https":
            return None
        self.cycle.keep_alive = False
        if isinstance(self.app, InferenceEndpoint):
            self.app.turn.flush()
        if not current.response_started:
            half_closed = HalfClosed(self.transport, lambda: current.response_complete)
            current.transport = half_closed  # type: ignore[assignment]  # it passes the rest on to the transport
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel what runs for the client. The loop calls this."""
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.cancel()
        super().connection_lost(exc)
        self.mark_disconnected()
        # Requests and uploads refer to the connection. Broken off, they would be garbage that only a full collection
        # finds, which seldom runs.
        for cycle in (self.cycle, self._current, self._receiving):
            if cycle is not None and cycle.more_body:
                cycle.on_response = _nothing
        self._receiving = self._upload = None
        self._holding.close()
        self._unread.close()

    def mark_disconnected(self) -> None:
        """Tell the application that the client is gone. uvicorn tells only `cycle`, which may be queued."""
        if self._current is not None:
            self._current.disconnected = True
            self._current.message_event.set()

    def _take_over(self, cycle: RequestResponseCycle, endpoint: InferenceEndpoint) -> bool:
        """Return True if the request is a plain prediction, which runs here, and prepare for its body."""
        if cycle.waiting_for_100_continue or self.pipeline or self.flow.write_paused:
            return False
        if cycle.scope["method"] != "POST" or not is_prediction(cycle.scope["path"]):
            return False
        headers = self._headers = self.fields  # no other request came after this one: nothing is queued
        length = headers.get(b"content-length", b"")
        if not length.isdigit() or int(length) > endpoint.max_body_bytes:
            return False
        # Above this mark uvicorn stops reading until the application asks for more. Without ASGI nothing would ask.
        if int(length) > HIGH_WATER_LIMIT:
            refused = endpoint.refuse_early("POST", cycle.scope["path"], headers, self._holding)
            if refused is not None:
                cycle.keep_alive = cycle.keep_alive and not is_long(headers)
                self._write_response(cycle, refused)
                return True
            json_length = headers.get(b"inference-header-content-length", b"")
            self._upload = Upload(self, int(length), json_length, self._holding)
            if cycle.body:  # it was queued behind another request, and a part of its body came meanwhile
                self._upload.take(cycle.body)
        return True

    def _run(self, cycle: RequestResponseCycle, body: bytes | memoryview) -> None:
        scope = cycle.scope
        work = self.app.respond(scope["method"], scope["path"], self._headers, body, time.perf_counter(), self._holding)
        self._driver = Driver(work, partial(self._write_response, cycle), self._abort)
        self._driver.step()

    def _abort(self, error: BaseException) -> None:
        """Close the connection after a bug of ours. The endpoint raises nothing; if it does, no client may hang."""
        _log.error("gateway.eager.failed", error=repr(error))
        self.transport.abort()

    def _write_response(self, cycle: RequestResponseCycle, response: Response) -> None:
        """Send headers and body in one write, then do uvicorn's own bookkeeping."""
        self._driver = None
        if self.app.draining:
            cycle.keep_alive = False
        head = self.head_of(response, closes=not cycle.keep_alive)
        if len(response.content) <= LARGE_BYTES:
            self.app.turn.write(cycle.transport, head + response.content)
        else:  # not copied: it may be as large as several bodies
            self.app.turn.flush()
            cycle.transport.write(head)
            cycle.transport.write(response.content)
        if self._holding.held:
            self._holding.release()  # what the client has not taken counts from `pause_writing` on
        cycle.response_started = cycle.response_complete = True
        if not cycle.keep_alive:
            self.app.turn.flush()
            (self.linger if cycle.more_body else self.transport.close)()
        self.on_response_complete()


def _nothing() -> None:
    """Do nothing at the end of a response. There is no connection any more that could go on."""
