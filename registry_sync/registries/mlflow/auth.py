"""How requests to MLflow carry credentials, beside httpx's own `BasicAuth`, `oauth.py` and `sigv4.py`."""

from collections.abc import Generator

import httpx

from registry_sync.errors import RegistryUnavailable

BODY_SHA256 = "body_sha256"
"""The extension of a request whose body is a stream: the sha256 of the body, which is known beforehand."""


class Bearer(httpx.Auth):
    """A token that does not change."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the token. Raises like `bearer`."""
        request.headers["Authorization"] = bearer(self._token)
        yield request


def bearer(token: str) -> str:
    """Return the header with a token.

    Raises:
        RegistryUnavailable: it cannot be in a header. The sentence does not tell it, but httpx's would.
    """
    if token.isascii() and token.isprintable():
        return f"Bearer {token}"
    raise RegistryUnavailable(
        "The token for MLflow has a character that no token has. Is there a line end after it in its file or variable?"
    )
