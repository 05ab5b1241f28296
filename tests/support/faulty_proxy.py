"""Passes HTTP requests on to a server, and answers some of them wrongly, as a broken network or proxy does."""

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_HTML = b"<html><body>Please log in.</body></html>"
_ENDLESS_BYTES = 256 * 1024 * 1024
"""Far more than an answer may have, and little enough for a reader without a limit not to harm the machine."""
FAULTS = ("500", "html", "endless", "gone")
"""Answers that no registry may take for its own."""
S3_ERRORS = {
    "SlowDown": 503, "AccessDenied": 403, "InternalError": 500, "InsufficientStorage": 507, "KeyTooLongError": 400,
}  # fmt: skip
"""Errors of S3, by code: their statuses."""


class FaultyProxy:
    """A proxy on a port of its own. `fault` says how it answers, for requests whose path holds `only`.

    500, html: with that. endless: with a body that never ends. gone: it ends the connection. cut: with half of the
    body and the length of all. short: with half of the body, and the end of the connection as its end. redirect: to
    another host. drop_once: it ends one connection, and then passes on. lost_once: it passes one request on, ends the
    connection instead of answering, and then passes on. drip: with one byte a second. One of `S3_ERRORS`: with that.
    `delay_s` is how long it waits before each answer.
    """

    def __init__(self, url: str) -> None:
        self._to = urlsplit(url).netloc
        self.fault, self.only, self.delay_s = "", "", 0.0
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        """Method, path and headers of each request."""
        self.sent_bytes = 0
        """Of the bodies of the server's answers to GET, listings of S3 left out."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                pass

            def _handle(self) -> None:
                try:
                    outer._answer(self)
                except (OSError, http.client.HTTPException):  # the server is away, or the client
                    self.close_connection = True

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_PATCH = _handle  # noqa: N815

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that has left
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Take no more requests."""
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        self.seen.append(
            (handler.command, handler.path, {key.lower(): value for key, value in handler.headers.items()})
        )
        fault = self.fault if self.only in handler.path else ""
        if self.delay_s:
            self._stopped.wait(self.delay_s)
        if fault in ("drop_once", "lost_once"):
            self.fault = ""
        if fault in ("gone", "drop_once"):
            handler.close_connection = True
        elif fault in S3_ERRORS:
            _send_s3_error(handler, fault)
        elif fault == "500":
            _send(handler, 500, {"content-type": "text/plain"}, b"out of order")
        elif fault == "html":
            _send(handler, 200, {"content-type": "text/html"}, _HTML)
        elif fault == "redirect":
            _send(handler, 302, {"location": "http://elsewhere.example/login"}, b"")
        elif fault == "endless":
            self._endless(handler)
        else:
            self._pass_on(handler, body, fault)

    def _endless(self, handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n")
        for _ in range(_ENDLESS_BYTES // 65_536):
            handler.wfile.write(b" " * 65_536)
        self._stopped.wait(120)

    def _drip(self, handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], content: bytes) -> None:
        handler.close_connection = True
        _send_head(handler, status, {**headers, "content-length": str(len(content)), "connection": "close"})
        for at in range(len(content)):
            if self._stopped.is_set() or self.fault != "drip":
                return
            handler.wfile.write(content[at : at + 1])
            self._stopped.wait(1.0)

    def _pass_on(self, handler: BaseHTTPRequestHandler, body: bytes, fault: str) -> None:
        connection = http.client.HTTPConnection(self._to, timeout=60)
        try:
            connection.putrequest(handler.command, handler.path, skip_host=True, skip_accept_encoding=True)
            for key, value in handler.headers.items():
                connection.putheader(key, value)
            connection.endheaders(body or None)
            answer = connection.getresponse()
            content = answer.read()
            if handler.command == "GET" and "list-type=" not in handler.path:
                self.sent_bytes += len(content)
            headers = {key.lower(): value for key, value in answer.getheaders()}
        finally:
            connection.close()
        headers.pop("transfer-encoding", None)
        if fault == "lost_once":
            handler.close_connection = True
            return
        if fault in ("cut", "short"):
            handler.close_connection = True
            headers.pop("content-length", None)
            length = {"content-length": str(len(content))} if fault == "cut" else {}
            _send_head(handler, answer.status, {**headers, **length, "connection": "close"})
            handler.wfile.write(content[: len(content) // 2])
            return
        if fault == "drip":
            self._drip(handler, answer.status, headers, content)
            return
        if handler.command == "HEAD":
            _send_head(handler, answer.status, headers)
            return
        _send(handler, answer.status, headers, content)


def _send_s3_error(handler: BaseHTTPRequestHandler, code: str) -> None:
    content = f"<Error><Code>{code}</Code><Message>as the test says</Message></Error>".encode()
    headers = {"content-type": "application/xml", "content-length": str(len(content))}
    _send_head(handler, S3_ERRORS[code], headers)
    if handler.command != "HEAD":
        handler.wfile.write(content)


def _send(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], content: bytes) -> None:
    _send_head(handler, status, {**headers, "content-length": str(len(content))})
    handler.wfile.write(content)


def _send_head(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str]) -> None:
    lines = [f"HTTP/1.1 {status} Answer", *(f"{key}: {value}" for key, value in headers.items())]
    handler.wfile.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
    handler.wfile.flush()
