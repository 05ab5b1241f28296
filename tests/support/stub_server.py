"""An HTTP server on loopback whose answers a function makes."""

import ssl
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson


class Seen(NamedTuple):
    """A request, with the names of its headers in small letters."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    """A response. What is no bytes is sent as JSON."""

    content: Any = b""
    status: int = 200
    headers: Mapping[str, str] = MappingProxyType({})


class StubServer:
    """Serves until it is closed, and remembers what it was asked."""

    def __init__(self, answer: Callable[[Seen], Answer], tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.seen: list[Seen] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                pass

            def _handle(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                seen = Seen(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                outer.seen.append(seen)
                answer = outer.answer(seen)
                content = answer.content if isinstance(answer.content, bytes) else orjson.dumps(answer.content)
                self.send_response(answer.status)
                for key, value in {"content-length": str(len(content)), **answer.headers}.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a handshake that a client ended
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"{'https' if tls else 'http'}://{self.host}"

    def __enter__(self) -> "StubServer":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
