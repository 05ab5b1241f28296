"""Keeps the bodies of requests and responses, for the routes that want it.

Bodies are kept as they came and went: compressed ones stay compressed. Of each the log has the beginning. What a caller
sends who may not use the route, or too often, is not kept.
"""

import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from gateway.inference.live_table import EMPTY, LiveTableHolder
from inference_log.payload import Body, Payload
from inference_log.writer import LogWriter

_NOT_KEPT = frozenset({401, 403, 429})
_KIND, _ENCODING, _JSON_BYTES = b"content-type", b"content-encoding", b"inference-header-content-length"
_MOST_KIND_CHARS = 128


class Sent(NamedTuple):
    """The beginning of a request's body, and the size of all of it in bytes."""

    beginning: bytes
    size: int


class Payloads:
    """One per replica. Of a body it keeps `max_bytes`."""

    def __init__(self, log: LogWriter, holder: LiveTableHolder, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._log = log
        self._holder = holder
        self._seen = EMPTY
        self._routes: frozenset[str] = frozenset()

    def routes(self) -> frozenset[str]:
        """Return the routes that keep bodies. It is nearly always empty, and then nothing else is asked."""
        live = self._holder.current
        if live is not self._seen:
            self._routes = frozenset(name for name, each in live.routes.items() if each.route.log.payloads)
            self._seen = live
        return self._routes

    def sent(self, content: bytes | memoryview) -> Sent:
        """Return what may be kept of a request's body, which is given away while it is decoded."""
        return Sent(bytes(content[: self.max_bytes]), len(content))

    def keep(
        self,
        route: str,
        decision_id: str,
        door: str,
        status: int,
        request: tuple[Sent, Mapping[bytes, bytes]],
        response: tuple[bytes, Iterable[tuple[bytes, bytes]]],
    ) -> None:
        """Append the bodies of one request, each with its headers, to the log. They are shed if there is no room."""
        if status in _NOT_KEPT:
            return
        (sent, headers), (answer, answer_headers) = request, response
        self._log.keep(
            Payload(
                route,
                decision_id,
                time.time_ns() // 1000,
                door,
                status,
                _body(sent.beginning, sent.size, headers),
                _body(answer[: self.max_bytes], len(answer), dict(answer_headers)),
            )
        )


def _body(content: bytes, size: int, headers: Mapping[bytes, bytes]) -> Body:
    length = headers.get(_JSON_BYTES, b"")
    return Body(
        content,
        size,
        headers.get(_KIND, b"")[:_MOST_KIND_CHARS].decode("utf-8", "replace"),
        headers.get(_ENCODING, b"")[:_MOST_KIND_CHARS].decode("utf-8", "replace"),
        int(length) if length.isdigit() and len(length) < 10 else None,
    )
