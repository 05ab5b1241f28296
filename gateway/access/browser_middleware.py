"""The rules for browsers, as an ASGI middleware, and the CORS headers of responses to pages that are listed."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.access.browser import BrowserPolicy, Headers
from gateway.access.change_header import CHANGE_HEADER
from gateway.access.middleware import send_error
from gateway.errors import ERROR_HEADER, CrossOrigin

_Header = tuple[bytes, bytes]

_PREFLIGHT_MAX_AGE_S = 600
_READABLE = (
    "content-encoding, etag, inference-header-content-length, retry-after, x-arm, x-decision-id, x-decision-token, "
    f"{ERROR_HEADER}, x-model-version, x-propensity, x-reason"
)
_METHODS = "GET, HEAD, POST, PUT, DELETE"
_VARY: _Header = (b"vary", b"origin")


def cors_headers(policy: BrowserPolicy, headers: Headers) -> list[_Header]:
    """Return what a response says, so that the browser shows it to a page of a listed origin.

    If any origin is listed, every response says that it depends on the origin. Otherwise a cache could send the one for
    another origin to a page of a listed one (https://fetch.spec.whatwg.org/#cors-protocol-and-http-caches).
    """
    if not policy.has_origins:
        return []
    if not policy.is_listed(headers):
        return [_VARY]
    return [
        (b"access-control-allow-origin", headers[b"origin"]),
        (b"access-control-expose-headers", _READABLE.encode()),
        _VARY,
    ]


def preflight_headers(method: str, headers: Headers) -> list[_Header] | None:
    """Return the headers of the response if the browser of a listed origin asks what a page may send, otherwise None.

    https://fetch.spec.whatwg.org/#cors-preflight-request
    """
    if method != "OPTIONS" or b"access-control-request-method" not in headers:
        return None
    asked = headers.get(b"access-control-request-headers", CHANGE_HEADER.encode())
    return [
        (b"access-control-allow-methods", _METHODS.encode()),
        (b"access-control-allow-headers", asked),
        (b"access-control-max-age", str(_PREFLIGHT_MAX_AGE_S).encode()),
    ]


class BrowserMiddleware:
    """The rules around one application."""

    def __init__(self, app: ASGIApp, policy: BrowserPolicy) -> None:
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on that may be answered, and send an error to any other."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method, headers = scope["method"], dict(scope["headers"])
        extra = cors_headers(self._policy, headers)
        allowed = preflight_headers(method, headers) if self._policy.is_listed(headers) else None
        if allowed is None:
            await self._answer(scope, receive, _with(send, extra) if extra else send)
        else:
            await send({"type": "http.response.start", "status": 204, "headers": extra + allowed})
            await send({"type": "http.response.body", "body": b""})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._policy.require(scope["method"], scope["path"], dict(scope["headers"]))
        except CrossOrigin as error:
            await send_error(send, error)
        else:
            await self._app(scope, receive, send)


def _with(send: Send, headers: list[_Header]) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *headers]}
        await send(message)

    return send_with_headers
