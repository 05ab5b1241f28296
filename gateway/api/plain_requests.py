"""Serves HEAD as GET, and a path with a slash at its end as the same path without it.

The framework would answer 405 to HEAD, and redirect a slash to an absolute URL, which behind TLS begins with `http:`.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class PlainRequests:
    """A middleware: the application sees GET instead of HEAD, and no slash at the end of a path.

    It stands before the one that asks for the credential, which thus sees the path that is served.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        plain = {**scope, "path": path[:-1] if path.endswith("/") and len(path) > 1 else path}
        if scope["method"] == "HEAD":
            await self._app({**plain, "method": "GET"}, receive, _without_body(send))
        else:
            await self._app(plain, receive, send)


def _without_body(send: Send) -> Send:
    """Return a `send` that keeps status and headers, content-length included (RFC 9110 9.3.2)."""

    async def send_head(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return send_head
