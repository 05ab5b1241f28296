"""The client of the operators' HTTP API that the command line uses."""

import getpass
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from gateway.access.change_header import CHANGE_HEADER, CHANGE_ID_HEADER
from gateway.cli.address import find_url
from gateway.cli.api_error import AnswerLost, ApiError, note_answer
from gateway.cli.credentials import credential, tls_context
from gateway.cli.http_request import BrokenOff, Response, Server, Silent, Unreachable, send, split_url

_TIMEOUT_S = 600.0
"""The gateway answers a change when everything that it needs is loaded."""
_SLOW_AFTER_S = 2.0
_READ_TIMEOUT_S = 4.0
_READ_TRIES = 4
_DONE = (200, 202)
_NOT_FOUND = 404
_NONE: Mapping[str, str] = MappingProxyType({})
_LONGEST_SHOWN = 200
_MOST_NAMED = 50
"""The most routes that are named in a path: 50 names of 128 characters fit into a request line of 8 KiB."""


def operator_name() -> str:
    """Return the login name of the operator, for the history."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container, the user may have no name
        return "unknown"


def _server(url: str) -> Server:
    """Return the server that a URL names."""
    try:
        parts = split_url(url)
    except ValueError as error:
        raise ApiError(
            f"{url!r} is not the URL of a gateway: {error}. Such a URL looks like http://127.0.0.1:8000."
        ) from error
    tls = tls_context(os.environ) if parts.scheme == "https" else None
    return Server(parts.hostname or "", parts.port, parts.path.rstrip("/"), tls)


def _path(route: str) -> str:
    """Return the path of a route. The name is quoted, so that it cannot lead to another path."""
    if not route:
        raise ApiError("Say which route; `pointsman status` lists them.")
    return f"/api/routes/{quote(route, safe='')}"


def _only(routes: Sequence[str]) -> str:
    """Return the query that asks for these routes only; an empty one if there are none, or too many for a path."""
    return f"?{urlencode([('route', route) for route in routes])}" if 0 < len(routes) <= _MOST_NAMED else ""


def _encode(body: Any) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError as error:  # Python keeps the bytes of such an argument as surrogates
        raise ApiError("An argument is not valid UTF-8.") from error


class ApiClient:
    """A client of one gateway, which is named by its URL. Without one it is the gateway of this home.

    `on_slow` is called by another thread when the answer to a change takes more than two seconds.
    """

    def __init__(self, url: str) -> None:
        self.url = find_url(url)
        self.on_slow: Callable[[], None] | None = None
        self._server = _server(self.url)
        self._headers: dict[str, str | bytes] = {
            "x-operator": operator_name().encode(),
            CHANGE_HEADER: "1",
            **credential(os.environ),
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

    def apply(self, routes: Sequence[dict[str, Any]], why: str, change_id: str = "") -> list[dict[str, Any]]:
        """Declare all of these routes or none. Each is `{"spec": ..., "expected": VERSION}`, 0 for a new route."""
        headers = {CHANGE_ID_HEADER: change_id} if change_id else {}
        return self._objects("POST", "/api/apply", "route", {"routes": routes, "why": why}, headers)

    def command(self, name: str, command: str, body: dict[str, Any], seen: int, change_id: str = "") -> dict[str, Any]:
        """Send a command for a route at version `seen`. If the route has changed since, the gateway rejects it."""
        headers = {"if-match": f'"{seen}"', **({CHANGE_ID_HEADER: change_id} if change_id else {})}
        return self._object("POST", f"{_path(name)}/{command}", "route", body, headers)

    def history(self, name: str, limit: int) -> list[dict[str, Any]]:
        """Return the versions of one route, the newest first."""
        return self._objects("GET", f"{_path(name)}/history?limit={limit}", "version")

    def audit(self, limit: int) -> list[dict[str, Any]]:
        """Return the changes of all routes, the newest first."""
        return self._objects("GET", f"/api/audit?limit={limit}", "version")

    def restore(self) -> dict[str, Any]:
        """Tell the gateway to write back what its store has lost."""
        return self._object("POST", "/api/restore", "routes")

    def status(self, routes: Sequence[str] = ()) -> dict[str, Any]:
        """Return what is wanted and what each replica serves, of these routes only unless there are too many."""
        return self._object("GET", f"/api/status{_only(routes)}", "replicas")

    def replicas(self, routes: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Return the last report of each replica, of these routes only unless there are too many."""
        return self._objects("GET", f"/api/replicas{_only(routes)}", "replica")

    def models(self) -> list[dict[str, Any]]:
        """Return the model versions that one replica holds."""
        return self._objects("GET", "/api/models", "model")

    def reward(self, rewards: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Report what happened after decisions. Return what became of each reward."""
        results = self._object("POST", "/v2/rewards", "results", {"rewards": rewards})["results"]
        return list(results)

    def import_rewards(self, route: str, source: str, rewards: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Report what happened after decisions that the log has. Return what became of each reward."""
        body = {"source": source, "rewards": rewards}
        return list(self._object("POST", f"{_path(route)}/rewards", "results", body)["results"])

    def _object(
        self, method: str, path: str, key: str, body: Any = None, more_headers: Mapping[str, str] = _NONE
    ) -> dict[str, Any]:
        """Return an object that has this key. Another program at this address may answer anything."""
        response = self._send(method, path, body, more_headers)
        content = self._content(response)
        if isinstance(content, dict) and key in content:
            return content
        raise self._stranger(response)

    def _objects(
        self, method: str, path: str, key: str, body: Any = None, more_headers: Mapping[str, str] = _NONE
    ) -> list[dict[str, Any]]:
        """Return a list of objects that have this key."""
        response = self._send(method, path, body, more_headers)
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
            return self._change(method, path, headers, content)
        except Silent as error:
            raise ApiError(
                f"The gateway at {self.url} does not answer ({error}). It may be starting or busy; see its log, or "
                "name another with --url."
            ) from error
        except (Unreachable, BrokenOff) as error:
            raise ApiError(
                f"No gateway answers at {self.url} ({error}). Start one with `make up`, or name another with --url."
            ) from error

    def _change(self, method: str, path: str, headers: Mapping[str, str | bytes], content: bytes | None) -> Response:
        """Send a change, once, and wait for its answer as long as the connection stands."""
        slow = None if self.on_slow is None else threading.Timer(_SLOW_AFTER_S, self.on_slow)
        if slow is not None:
            slow.daemon = True
            slow.start()
        try:
            return send(self._server, method, path, headers, content, _TIMEOUT_S)
        except BrokenOff as error:
            raise AnswerLost(
                f"The gateway at {self.url} got the change, but the connection ended before its answer came ({error})."
            ) from error
        finally:
            if slow is not None:
                slow.cancel()

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
        if response.status in _DONE:
            note_answer(self.url)
            return content
        if isinstance(content, dict) and isinstance(content.get("error"), str):
            raise ApiError(content["error"], response.status)
        raise self._stranger(response)

    def _stranger(self, response: Response) -> ApiError:
        shown = response.content[:_LONGEST_SHOWN].decode(errors="replace")
        return ApiError(
            f"What answers at {self.url} is no gateway: it says {response.status} and {shown!r}.", response.status
        )
