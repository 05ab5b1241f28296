"""How requests to MLflow carry credentials, beside httpx's own `BasicAuth`, `oauth.py` and `sigv4.py`."""

from collections.abc import Generator

import httpx

BODY_SHA256 = "body_sha256"
"""The extension of a request whose body is a stream: the sha256 of the body, which is known beforehand."""


class Bearer(httpx.Auth):
    """A token that does not change."""

    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the token."""
        request.headers["Authorization"] = self._header
        yield request
