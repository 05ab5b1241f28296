"""uvicorn's HTTP protocol, with predictions answered without a task. Acts.

For a model that takes microseconds, most of a request's time goes into what surrounds it: a task per request, ASGI
messages, two writes to the socket. So a prediction is begun inside the parser's callback when its last byte is here,
waits only for its batch, and is answered with one write. What is not a plain prediction (another path, a body without
its length, a pipelined request, a client that does not read) goes the usual way through ASGI, to the same door.
"""

import re
import time
from functools import partial
from typing import Any

import structlog
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gateway.eventloop.driver import Driver
from gateway.http.endpoint import InferenceEndpoint, Response
from gateway.http.half_closed import HalfClosed
from gateway.http.upload import Upload, fresh_parser
from gateway.protocols.paths import is_prediction

_log = structlog.get_logger()

_upgrade = re.compile(rb"\r\nUpgrade(?=[ \t]*:)", re.IGNORECASE)


class HttpConnection(HttpToolsProtocol):
    """One per connection."""

    _held: RequestResponseCycle | None = None
    _headers_held: dict[bytes, bytes]
    _upload: Upload | None = None
    _driven: Driver[Response] | None = None
    _asked: RequestResponseCycle | None = None
    _active_s = 0.0

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Called by uvicorn once the headers are here. Holds a prediction back until its body is complete."""
        if self.transport.is_closing():
            return  # pipelined behind the last answer of this connection: it would be answered to nobody
        self._asked = cycle
        if cycle.more_body and isinstance(app, InferenceEndpoint) and self._is_eager(cycle, app):
            self._held = cycle
        else:
            super()._start_asgi_task(cycle, app)

    def data_received(self, data: bytes) -> None:
        """Called by the loop. A large body goes straight to where it will be read from."""
        if b"pgrade" in data and (self._asked is None or self._asked.response_complete):
            data = _without_upgrade(data)
        super().data_received(data)
        if self._upload is not None and self._held is not None:
            self._upload.divert()

    def on_body(self, body: bytes) -> None:
        """Called by the parser with a part of the body."""
        if self._upload is not None:
            self._upload.take(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Called by the parser once the body is here."""
        super().on_message_complete()
        held = self._held
        if held is not None:
            self._held = None
            upload, self._upload = self._upload, None
            self._begin(held, bytes(held.body) if upload is None else upload.body)

    def upload_complete(self) -> None:
        """Called by the upload when the last byte of a diverted body is here, which the parser has not seen."""
        self.parser = fresh_parser(self)
        self.on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Called by uvicorn for what is not HTTP; answers to what came before it go first."""
        if self._driven is not None:
            self.cycle.keep_alive = False  # its answer will be the last one; a 400 now would be taken for it
            return
        if isinstance(self.app, InferenceEndpoint):
            self.app.turn.flush()
        super().send_400_response(msg)
        self._leave_unanswered()

    def on_response_complete(self) -> None:
        """Called by uvicorn, which starts a timer here and stops it when more data come. One timer will do."""
        if self.pipeline or self.timeout_keep_alive_task is None:
            super().on_response_complete()
        else:
            self.server_state.total_requests += 1
            self.flow.resume_reading()

    def _unset_keepalive_if_required(self) -> None:
        """Called by uvicorn when data come: the timer goes on, and will find that there was activity."""
        self._active_s = self.loop.time()

    def timeout_keep_alive_handler(self) -> None:
        """Called by the timer: closes a connection that has been idle for long, or looks again later."""
        idle_s = self.loop.time() - self._active_s
        if idle_s < self.timeout_keep_alive or not self.cycle.response_complete:
            again_s = max(self.timeout_keep_alive - idle_s, 1.0)
            self.timeout_keep_alive_task = self.loop.call_later(again_s, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def eof_received(self) -> bool | None:  # type: ignore[override]  # as asyncio has it, and uvicorn does not
        """Called by the loop: the client sends no more. If all of its request is here, it gets its answer."""
        asked = self._asked
        if asked is None or self.cycle.response_complete or self.cycle.more_body or self.scheme == "https":
            return None
        self.cycle.keep_alive = False
        if isinstance(self.app, InferenceEndpoint):
            self.app.turn.flush()
        if not asked.response_started:
            asked.transport = HalfClosed(self.transport, lambda: asked.response_complete)  # type: ignore[assignment]  # as good as one
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop: nobody waits any more, and the timer must go."""
        driven, self._driven = self._driven, None
        if driven is not None:
            driven.cancel()
        super()._unset_keepalive_if_required()
        super().connection_lost(exc)
        self._leave_unanswered()

    def _leave_unanswered(self) -> None:
        """Tells the application that nobody waits: uvicorn tells the last request, not the one that others wait for."""
        if self._asked is not None:
            self._asked.disconnected = True
            self._asked.message_event.set()

    def _is_eager(self, cycle: RequestResponseCycle, door: InferenceEndpoint) -> bool:
        if cycle.waiting_for_100_continue or self.pipeline or self.flow.write_paused:
            return False
        if cycle.scope["method"] != "POST" or not is_prediction(cycle.scope["path"]):
            return False
        headers = self._headers_held = dict(cycle.scope["headers"])
        length = headers.get(b"content-length", b"")
        if not length.isdigit() or int(length) > door.max_body_bytes:
            return False
        # Beyond the high-water mark uvicorn stops reading until the application asks for more, which nobody would.
        if int(length) > HIGH_WATER_LIMIT:
            self._upload = Upload(self, int(length), headers.get(b"inference-header-content-length", b""))
            if cycle.body:  # pipelined behind another, of whose answer it has waited with a part of its body
                self._upload.take(cycle.body)
        return True

    def _begin(self, cycle: RequestResponseCycle, body: bytes | memoryview) -> None:
        scope = cycle.scope
        work = self.app.respond(scope["method"], scope["path"], self._headers_held, body, time.perf_counter())
        self._driven = driven = Driver(work, partial(self._write, cycle), self._give_up)
        driven.step()

    def _give_up(self, error: BaseException) -> None:
        """`InferenceEndpoint.answer` raises nothing; if it does, this connection must not hang."""
        _log.error("gateway.eager.failed", error=repr(error))
        self.transport.abort()

    def _write(self, cycle: RequestResponseCycle, response: Response) -> None:
        """Headers and body in one write; then uvicorn's own bookkeeping."""
        self._driven = None
        parts = [STATUS_LINE[response.status]]
        for name, value in (*cycle.default_headers, *response.headers):
            parts += (name, b": ", value, b"\r\n")
        if not cycle.keep_alive or self.app.draining:
            cycle.keep_alive = False
            parts.append(b"connection: close\r\n")
        parts += (b"\r\n", response.content)
        self.app.turn.write(cycle.transport, b"".join(parts))
        cycle.response_started = cycle.response_complete = True
        if not cycle.keep_alive:
            self.app.turn.flush()
            self.transport.close()
        self.on_response_complete()


def _without_upgrade(data: bytes) -> bytes:
    """The same with an Upgrade in the header under another name.

    A server may ignore it, and this one does; the parser would take the body for the other protocol's. Java's client
    asks for HTTP/2 in this way with its first request, whatever that is.
    """
    head, end, rest = data.partition(b"\r\n\r\n")
    return b"".join((_upgrade.sub(rb"\r\nIgnored", head), end, rest))
