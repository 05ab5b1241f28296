"""uvicorn's HTTP protocol, with quick predictions answered as soon as their last byte is here. Acts.

For a model that takes microseconds, most of a request's time goes into what surrounds it: a task per request, ASGI
messages, two writes to the socket. A prediction whose route runs on the event loop never waits for anything, so it
is answered inside the parser's callback, with one write. Everything else (another path, a slow model, a large body
or one without its length, a pipelined request, a client that does not read) goes the usual way through ASGI, to the
same door.
"""

import time
from typing import Any

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gateway.door import Door, Response


class EagerProtocol(HttpToolsProtocol):
    """One per connection."""

    _held: RequestResponseCycle | None = None
    _headers_held: dict[bytes, bytes]
    _active_s = 0.0

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Called by uvicorn once the headers are here. Holds a quick prediction back until its body is complete."""
        if self.transport.is_closing():
            return  # pipelined behind the last answer of this connection: it would be answered to nobody
        if cycle.more_body and isinstance(app, Door) and self._is_eager(cycle, app):
            self._held = cycle
        else:
            super()._start_asgi_task(cycle, app)

    def on_message_complete(self) -> None:
        """Called by the parser once the body is here."""
        super().on_message_complete()
        held, self._held = self._held, None
        if held is None:
            return
        scope = held.scope
        answer = self.app.answer(
            scope["method"],
            scope["path"],
            self._headers_held,
            bytes(held.body),
            time.perf_counter(),
            on_loop=True,
        )
        try:
            answer.send(None)
        except StopIteration as done:
            self._write(held, done.value)
        else:
            raise AssertionError("A prediction on the event loop must not wait.")

    def send_400_response(self, msg: str) -> None:
        """Called by uvicorn for what is not HTTP; answers to what came before it go first."""
        if isinstance(self.app, Door):
            self.app.outbox.flush()
        super().send_400_response(msg)

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

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop; now the timer must go."""
        super()._unset_keepalive_if_required()
        super().connection_lost(exc)

    def _is_eager(self, cycle: RequestResponseCycle, door: Door) -> bool:
        if cycle.waiting_for_100_continue or self.pipeline or self.flow.write_paused:
            return False
        if cycle.scope["method"] != "POST" or not door.is_quick(cycle.scope["path"]):
            return False
        self._headers_held = dict(cycle.scope["headers"])
        length = self._headers_held.get(b"content-length", b"")
        # Beyond the high-water mark uvicorn stops reading until the application asks for more, which nobody would.
        return length.isdigit() and int(length) <= min(door.max_body_bytes, HIGH_WATER_LIMIT)

    def _write(self, cycle: RequestResponseCycle, response: Response) -> None:
        """Headers and body in one write; then uvicorn's own bookkeeping."""
        parts = [STATUS_LINE[response.status]]
        for name, value in (*cycle.default_headers, *response.headers):
            parts += (name, b": ", value, b"\r\n")
        if not cycle.keep_alive or self.app.draining:
            cycle.keep_alive = False
            parts.append(b"connection: close\r\n")
        parts += (b"\r\n", response.content)
        self.app.outbox.put(self.loop, self.transport, b"".join(parts))
        cycle.response_started = cycle.response_complete = True
        if not cycle.keep_alive:
            self.app.outbox.flush()
            self.transport.close()
        self.on_response_complete()
