"""OAuth 2.0 client credentials (RFC 6749, section 4.4), as Databricks gives them to service principals.

A token is kept until shortly before its end. One thread at a time renews it. If the issuer does not answer, the old
token goes on as long as it is valid. A server that answers 401 gets one more try, with a new token.
"""

import ssl
import threading
import time
from collections.abc import Callable, Generator
from typing import NamedTuple

import httpx
import msgspec

from registry_sync.errors import RegistryUnavailable
from registry_sync.registries.mlflow.auth import bearer
from registry_sync.registries.mlflow.bounded import TIMEOUT, read_bounded

_BEFORE_ITS_END_S = 40.0
"""Azure Databricks rejects tokens that end within 30 seconds."""
_USUAL_S = 300.0
"""How long a token is kept whose issuer does not say how long it lasts."""
_MAX_ANSWER_BYTES = 64 * 1024


class _Answer(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: float | None = None


class _Token(NamedTuple):
    text: str
    renewed_from_s: float
    ends_s: float


class ClientCredentials(httpx.Auth):
    """Gets tokens for a client from an issuer, and adds them to requests."""

    def __init__(
        self,
        url: str,
        client_id: str,
        client_secret: str,
        *,
        verify: ssl.SSLContext | bool = True,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the URL that gives tokens."""
        self._url = url
        self._credentials = httpx.BasicAuth(client_id, client_secret)
        self._verify = verify
        self._clock_s = clock_s
        self._token: _Token | None = None
        self._lock = threading.Lock()

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add a token. After a 401, add a new one.

        Raises:
            RegistryUnavailable: the issuer gives none.
        """
        token = self._current("")
        request.headers["Authorization"] = bearer(token)
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED:
            request.headers["Authorization"] = bearer(self._current(token))
            yield request

    def _current(self, refused: str) -> str:
        """Return a token that was not refused."""
        with self._lock:
            known = self._token
            if known is not None and known.text == refused:
                known = None
            if known is not None and self._clock_s() < known.renewed_from_s:
                return known.text
            try:
                self._token = self._renew()
            except RegistryUnavailable:
                if known is None or self._clock_s() >= known.ends_s:
                    raise
                return known.text
            return self._token.text

    def _renew(self) -> _Token:
        asked_s = self._clock_s()
        form = {"grant_type": "client_credentials", "scope": "all-apis"}
        try:
            with (
                httpx.Client(verify=self._verify, timeout=TIMEOUT) as client,
                client.stream("POST", self._url, data=form, auth=self._credentials) as response,
            ):
                content = read_bounded(response, _MAX_ANSWER_BYTES)
        except httpx.HTTPError as error:
            raise RegistryUnavailable(f"{self._url}, which gives tokens, does not answer: {error!r}.") from error
        if response.status_code != httpx.codes.OK:
            raise RegistryUnavailable(
                f"{self._url} gives no token ({response.status_code}). Check DATABRICKS_CLIENT_ID and "
                "DATABRICKS_CLIENT_SECRET: the service principal must be of this workspace, and the secret not expired."
            )
        try:
            answer = msgspec.json.decode(content, type=_Answer, strict=False)
        except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as error:
            raise RegistryUnavailable(f"{self._url} answers with something that is no token: {error}.") from error
        lasts_s = _USUAL_S if answer.expires_in is None else answer.expires_in
        return _Token(
            answer.access_token,
            renewed_from_s=asked_s + max(lasts_s - _BEFORE_ITS_END_S, lasts_s / 2),
            ends_s=asked_s + lasts_s,
        )
