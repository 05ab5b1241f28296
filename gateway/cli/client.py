"""The client of the operators' HTTP API that the command line uses.

Credentials come from the environment, so that none appears in a list of processes or in a shell's history:
`POINTSMAN_KEY` holds an API key or a token. For TLS there are `POINTSMAN_CA` (PEM of the authority that signed the
gateway's certificate) and `POINTSMAN_CLIENT_CERTIFICATE` (PEM with the client's certificate and its key).
"""

import getpass
import os
import ssl
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import orjson

from gateway.access.change_header import CHANGE_HEADER
from gateway.cli.address import find_url
from gateway.cli.http_request import BrokenOff, Response, Server, Unreachable, send, split_url

_TIMEOUT_S = 15.0
_READ_TIMEOUT_S = 4.0
_READ_TRIES = 4
_OK = 200
_NOT_FOUND = 404
_NONE: Mapping[str, str] = MappingProxyType({})
_LONGEST_SHOWN = 200


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


def _tls(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Return the TLS context with the authority to trust and the certificate to present.

    Without an authority, the ones that the machine trusts count.
    """
    authority, certificate = environ.get("POINTSMAN_CA"), environ.get("POINTSMAN_CLIENT_CERTIFICATE")
    try:
        context = ssl.create_default_context(cafile=authority or None)
        if certificate:
            context.load_cert_chain(certificate)
    except OSError as error:  # the base class of ssl.SSLError
        raise ApiError(f"POINTSMAN_CA or POINTSMAN_CLIENT_CERTIFICATE cannot be used: {error}.") from error
    return context


def _server(url: str) -> Server:
    """Return the server that a URL names."""
    try:
        parts = split_url(url)
    except ValueError as error:
        raise ApiError(
            f"{url!r} is not the URL of a gateway: {error}. Such a URL looks like http://127.0.0.1:8000."
        ) from error
    tls = _tls(os.environ) if parts.scheme == "https" else None
    return Server(parts.hostname or "", parts.port, parts.path.rstrip("/"), tls)


def _path(route: str) -> str:
    """Return the path of a route. The name is quoted, so that it cannot lead to another path."""
    if not route:
        raise ApiError("Say which route; `pointsman status` lists them.")
    return f"/api/routes/{quote(route, safe='')}"


def _encode(body: Any) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError as error:  # Python keeps the bytes of such an argument as surrogates
        raise ApiError("An argument is not valid UTF-8.") from error


class ApiClient:
    """A client of one gateway, which is named by its URL. Without one it is the gateway of this home."""

    def __init__(self, url: str) -> None:
        self.url = find_url(url)
        self._server = _server(self.url)
        self._headers: dict[str, str | bytes] = {
            "x-operator": operator_name().encode(),
            CHANGE_HEADER: "1",
            **_credential(os.environ),
        }

    def routes(self) -> list[dict[str, Any]]:
        """Return the documents of all routes."""
        return self._objects("GET", "/api/routes", "route")

    def route(self, name: str) -> dict[str, Any]:
        """Return the document of one route."""
        return self._object("GET", _path(name), "route")

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
        return self._objects("POST", "/api/apply", "route", {"routes": routes, "why": why})

    def command(self, name: str, command: str, body: dict[str, Any], seen: int) -> dict[str, Any]:
        """Send a command for a route at version `seen`. If the route has changed since, the gateway rejects it."""
        return self._object("POST", f"{_path(name)}/{command}", "route", body, {"if-match": f'"{seen}"'})

    def history(self, name: str, limit: int) -> list[dict[str, Any]]:
        """Return the versions of one route, the newest first."""
        return self._objects("GET", f"{_path(name)}/history?limit={limit}", "version")

    def audit(self, limit: int) -> list[dict[str, Any]]:
        """Return the changes of all routes, the newest first."""
        return self._objects("GET", f"/api/audit?limit={limit}", "version")

    def restore(self) -> dict[str, Any]:
        """Tell the gateway to write back what its store has lost."""
        return self._object("POST", "/api/restore", "routes")

    def status(self) -> dict[str, Any]:
        """Return what is wanted and what each replica serves."""
        return self._object("GET", "/api/status", "replicas")

    def replicas(self) -> list[dict[str, Any]]:
        """Return the last report of each replica."""
        return self._objects("GET", "/api/replicas", "replica")

    def models(self) -> list[dict[str, Any]]:
        """Return the model versions that one replica holds."""
        return self._objects("GET", "/api/models", "model")

    def _object(
        self, method: str, path: str, key: str, body: Any = None, more_headers: Mapping[str, str] = _NONE
    ) -> dict[str, Any]:
        """Return an object that has this key. Another program at this address may answer anything."""
        response = self._send(method, path, body, more_headers)
        content = self._content(response)
        if isinstance(content, dict) and key in content:
            return content
        raise self._stranger(response)

    def _objects(self, method: str, path: str, key: str, body: Any = None) -> list[dict[str, Any]]:
        """Return a list of objects that have this key."""
        response = self._send(method, path, body)
        content = self._content(response)
        if isinstance(content, list) and all(isinstance(each, dict) and key in each for each in content):
            return content
        raise self._stranger(response)

    def _send(self, method: str, path: str, body: Any = None, more_headers: Mapping[str, str] = _NONE) -> Response:
        headers = {**self._headers, **more_headers}
        content = None
        if body is not None:
            content = _encode(body)
            headers["content-type"] = "application/json"
        try:
            if method == "GET":
                return self._get(path, headers)
            return send(self._server, method, path, headers, content, _TIMEOUT_S)
        except (Unreachable, BrokenOff) as error:
            raise ApiError(
                f"No gateway answers at {self.url} ({error}). Start one with `make up`, or name another with --url."
            ) from error

    def _get(self, path: str, headers: Mapping[str, str | bytes]) -> Response:
        """Send a GET, and again if the replica ends or hangs: the next connection may reach another replica."""
        for _ in range(_READ_TRIES - 1):
            try:
                return send(self._server, "GET", path, headers, None, _READ_TIMEOUT_S)
            except BrokenOff:
                continue
        return send(self._server, "GET", path, headers, None, _READ_TIMEOUT_S)

    def _content(self, response: Response) -> Any:
        """Return the JSON of a response.

        Raises:
            ApiError: the gateway rejected the request, or what answers is no gateway.
        """
        try:
            content = orjson.loads(response.content)
        except ValueError:
            raise self._stranger(response) from None
        if response.status == _OK:
            return content
        if isinstance(content, dict) and isinstance(content.get("error"), str):
            raise ApiError(content["error"], response.status)
        raise self._stranger(response)

    def _stranger(self, response: Response) -> ApiError:
        shown = response.content[:_LONGEST_SHOWN].decode(errors="replace")
        return ApiError(
            f"What answers at {self.url} is no gateway: it says {response.status} and {shown!r}.", response.status
        )
