"""The client of the operators' HTTP API that the command line uses.

Credentials come from the environment, so that none appears in a list of processes or in a shell's history:
`POINTSMAN_KEY` holds an API key or a token. For TLS there are `POINTSMAN_CA` (PEM of the authority that signed the
gateway's certificate) and `POINTSMAN_CLIENT_CERTIFICATE` (PEM with the client's certificate and its key).
"""

import getpass
import os
import ssl
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import httpx

from gateway.access.browser import CHANGE_HEADER
from gateway.cli.address import find_url

_TIMEOUT_S = 15.0
_READ_TIMEOUT_S = 4.0
_READ_TRIES = 4
_NOT_FOUND = 404


class ApiError(Exception):
    """The gateway rejected a request, or cannot be reached. The message is a sentence for the operator.

    `status` is the HTTP status of the response, or None if there was no response.
    """

    def __init__(self, sentence: str, status: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status


def operator_name() -> str:
    """Return the login name of the operator, for the history."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container, the user may have no name
        return "unknown"


def _credential(environ: Mapping[str, str]) -> dict[str, str]:
    key = environ.get("POINTSMAN_KEY", "").strip()
    if not key:
        return {}
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ApiError("POINTSMAN_KEY is neither an API key nor a token: it holds blanks or strange characters.")
    return {"authorization": f"Bearer {key}"}


def _trust(environ: Mapping[str, str]) -> ssl.SSLContext | bool:
    """Return the TLS context with the authority to trust and the certificate to present.

    True stands for the authorities that the machine trusts, and no certificate.
    """
    authority, certificate = environ.get("POINTSMAN_CA"), environ.get("POINTSMAN_CLIENT_CERTIFICATE")
    if not authority and not certificate:
        return True
    try:
        context = ssl.create_default_context(cafile=authority or None)
        if certificate:
            context.load_cert_chain(certificate)
    except OSError as error:  # the base class of ssl.SSLError
        raise ApiError(f"POINTSMAN_CA or POINTSMAN_CLIENT_CERTIFICATE cannot be used: {error}.") from error
    return context


def _path(route: str) -> str:
    """Return the path of a route. The name is quoted, so that it cannot lead to another path."""
    if not route:
        raise ApiError("Say which route; `pointsman status` lists them.")
    return f"/api/routes/{quote(route, safe='')}"


class ApiClient:
    """A client of one gateway, which is named by its URL. Without one it is the gateway of this home."""

    def __init__(self, url: str) -> None:
        url = self._url = find_url(url)
        try:
            self._http = httpx.Client(
                base_url=url,
                timeout=_TIMEOUT_S,
                headers={"x-operator": operator_name(), CHANGE_HEADER: "1", **_credential(os.environ)},
                verify=_trust(os.environ),
                trust_env=False,
            )
        except httpx.InvalidURL as error:
            raise ApiError(
                f"{url!r} is not the URL of a gateway ({error}); it looks like http://127.0.0.1:8000."
            ) from error

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def routes(self) -> list[dict[str, Any]]:
        """Return the documents of all routes."""
        return self._request("GET", "/api/routes")  # type: ignore[no-any-return]

    def route(self, name: str) -> dict[str, Any]:
        """Return the document of one route."""
        return self._request("GET", _path(name))  # type: ignore[no-any-return]

    def find(self, name: str) -> dict[str, Any] | None:
        """Return the document of one route, or None if the route is not declared."""
        try:
            return self.route(name)
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
            return None

    def apply(self, routes: Sequence[dict[str, Any]], why: str) -> list[dict[str, Any]]:
        """Declare all of these routes or none. Each is `{"spec": ..., "expected": VERSION}`, 0 for a new route."""
        return self._request("POST", "/api/apply", json={"routes": routes, "why": why})  # type: ignore[no-any-return]

    def command(self, name: str, command: str, body: dict[str, Any], seen: int) -> dict[str, Any]:
        """Send a command for a route at version `seen`. If the route has changed since, the gateway rejects it."""
        headers = {"if-match": f'"{seen}"'}
        path = f"{_path(name)}/{command}"
        return self._request("POST", path, json=body, headers=headers)  # type: ignore[no-any-return]

    def history(self, name: str, limit: int) -> list[dict[str, Any]]:
        """Return the versions of one route, the newest first."""
        return self._request("GET", f"{_path(name)}/history", params={"limit": limit})  # type: ignore[no-any-return]

    def audit(self, limit: int) -> list[dict[str, Any]]:
        """Return the changes of all routes, the newest first."""
        return self._request("GET", "/api/audit", params={"limit": limit})  # type: ignore[no-any-return]

    def restore(self) -> dict[str, Any]:
        """Tell the gateway to write back what its store has lost."""
        return self._request("POST", "/api/restore")  # type: ignore[no-any-return]

    def status(self) -> dict[str, Any]:
        """Return what is wanted and what each replica serves."""
        return self._request("GET", "/api/status")  # type: ignore[no-any-return]

    def replicas(self) -> list[dict[str, Any]]:
        """Return the last report of each replica."""
        return self._request("GET", "/api/replicas")  # type: ignore[no-any-return]

    def models(self) -> list[dict[str, Any]]:
        """Return the model versions that one replica holds."""
        return self._request("GET", "/api/models")  # type: ignore[no-any-return]

    def _request(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            response = (
                self._get(path, **arguments) if method == "GET" else self._http.request(method, path, **arguments)
            )
        except httpx.HTTPError as error:
            raise ApiError(
                f"No gateway answers at {self._url} ({error}). Start one with `make up`, or name another with --url."
            ) from error
        if response.is_success:
            return response.json()
        try:
            sentence = response.json()["error"]
        except (ValueError, KeyError, TypeError):
            sentence = f"The gateway answered {response.status_code}: {response.text[:200]}"
        raise ApiError(sentence, response.status_code)

    def _get(self, path: str, **arguments: Any) -> httpx.Response:
        """Send a GET, and again if the replica ends or hangs: the next connection may reach another replica."""
        for _ in range(_READ_TRIES - 1):
            try:
                return self._http.get(path, timeout=_READ_TIMEOUT_S, **arguments)
            except (httpx.ReadError, httpx.RemoteProtocolError, httpx.ReadTimeout):
                continue
        return self._http.get(path, timeout=_READ_TIMEOUT_S, **arguments)
