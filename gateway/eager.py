"""uvicorn's HTTP protocol, with quick predictions answered as soon as their last byte is here. Acts.

For a model that takes microseconds, most of a request's time goes into what surrounds it: a task per request, ASGI
messages, two writes to the socket. A prediction whose route runs on the event loop never waits for anything, so it
is answered inside the parser's callback, with one write. Everything else (another path, a slow model, a large body
or one without its length, a pipelined request, a client that does not read) goes the usual way through ASGI, to the
same door.
"""

import time
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gateway.door import Door, Response

if TYPE_CHECKING:
    Application = Any


class EagerProtocol(HttpToolsProtocol):
    """One per connection."""

    _held: RequestResponseCycle | None = None
    _headers_held: dict[bytes, bytes]

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: "Application") -> None:
        """Called by uvicorn once the headers are here. Holds a quick prediction back until its body is complete."""
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
        self.transport.write(b"".join(parts))
        cycle.response_started = cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()
