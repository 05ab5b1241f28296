"""Speaks the operators' HTTP API for the command line. Acts.

What it shows of itself comes from the environment, so that no credential stands in a list of processes or a history of
commands: `POINTSMAN_KEY` (an API key or a token) and, for TLS, `POINTSMAN_CA` (PEM of the authority that signed the
gateway's certificate) and `POINTSMAN_CLIENT_CERTIFICATE` (PEM with a certificate of ours and its key).
"""

import getpass
import os
import ssl
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import httpx

_TIMEOUT_S = 15.0
_READ_TIMEOUT_S = 4.0
_READ_TRIES = 4
_NOT_FOUND = 404


class ApiError(Exception):
    """The gateway refused, or cannot be reached; the message is for the person at the terminal.

    `status` is that of the answer; None: there was none.
    """

    def __init__(self, sentence: str, status: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status


def operator_name() -> str:
    """Who is at the terminal, for the history."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "unknown"


def _credential(environ: Mapping[str, str]) -> dict[str, str]:
    key = environ.get("POINTSMAN_KEY", "").strip()
    if not key:
        return {}
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ApiError("POINTSMAN_KEY is neither an API key nor a token: it holds blanks or strange characters.")
    return {"authorization": f"Bearer {key}"}


def _trust(environ: Mapping[str, str]) -> ssl.SSLContext | bool:
    """Whom to believe that he is the gateway, and what to show him; True for what the machine believes anyway."""
    authority, certificate = environ.get("POINTSMAN_CA"), environ.get("POINTSMAN_CLIENT_CERTIFICATE")
    if not authority and not certificate:
        return True
    try:
        context = ssl.create_default_context(cafile=authority or None)
        if certificate:
            context.load_cert_chain(certificate)
    except OSError as error:  # ssl.SSLError is one
        raise ApiError(f"POINTSMAN_CA or POINTSMAN_CLIENT_CERTIFICATE cannot be used: {error}.") from error
    return context


def _path(route: str) -> str:
    """Where a route is; whatever its name is, it leads nowhere else."""
    if not route:
        raise ApiError("Say which route; `pointsman status` lists them.")
    return f"/api/routes/{quote(route, safe='')}"


class ApiClient:
    """One gateway, named by its URL."""

    def __init__(self, url: str) -> None:
        self._url = url
        try:
            self._http = httpx.Client(
                base_url=url,
                timeout=_TIMEOUT_S,
                headers={"x-operator": operator_name(), **_credential(os.environ)},
                verify=_trust(os.environ),
                trust_env=False,
            )
        except httpx.InvalidURL as error:
            raise ApiError(
                f"{url!r} is not the URL of a gateway ({error}); it looks like http://127.0.0.1:8000."
            ) from error

    def close(self) -> None:
        """Closes its connections."""
        self._http.close()

    def routes(self) -> list[dict[str, Any]]:
        """Every declared route."""
        return self._ask("GET", "/api/routes")  # type: ignore[no-any-return]

    def route(self, name: str) -> dict[str, Any]:
        """One route's document."""
        return self._ask("GET", _path(name))  # type: ignore[no-any-return]

    def find(self, name: str) -> dict[str, Any] | None:
        """One route's document, or None if it is not declared."""
        try:
            return self.route(name)
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
            return None

    def apply(self, routes: Sequence[dict[str, Any]], why: str) -> list[dict[str, Any]]:
        """Declares routes, all or none; each is `{"spec": ..., "expected": the version last seen, 0 for none}`."""
        return self._ask("POST", "/api/apply", json={"routes": routes, "why": why})  # type: ignore[no-any-return]

    def command(self, name: str, command: str, body: dict[str, Any], seen: int) -> dict[str, Any]:
        """Commands a route that was last seen at version `seen`; if somebody was quicker, nothing is done."""
        headers = {"if-match": f'"{seen}"'}
        return self._ask("POST", f"{_path(name)}/{command}", json=body, headers=headers)  # type: ignore[no-any-return]

    def history(self, name: str, limit: int) -> list[dict[str, Any]]:
        """The newest versions of one route first."""
        return self._ask("GET", f"{_path(name)}/history", params={"limit": limit})  # type: ignore[no-any-return]

    def audit(self, limit: int) -> list[dict[str, Any]]:
        """The newest changes of all routes first."""
        return self._ask("GET", "/api/audit", params={"limit": limit})  # type: ignore[no-any-return]

    def restore(self) -> dict[str, Any]:
        """Has the gateway put back into its store what that has lost."""
        return self._ask("POST", "/api/restore")  # type: ignore[no-any-return]

    def status(self) -> dict[str, Any]:
        """What is wanted and what each replica serves."""
        return self._ask("GET", "/api/status")  # type: ignore[no-any-return]

    def models(self) -> list[dict[str, Any]]:
        """The versions that a replica holds."""
        return self._ask("GET", "/api/models")  # type: ignore[no-any-return]

    def _ask(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            answer = self._read(path, **arguments) if method == "GET" else self._http.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise ApiError(
                f"No gateway answers at {self._url} ({error}). Start one with `make up`, or name another with --url."
            ) from error
        if answer.is_success:
            return answer.json()
        try:
            sentence = answer.json()["error"]
        except (ValueError, KeyError, TypeError):
            sentence = f"The gateway answered {answer.status_code}: {answer.text[:200]}"
        raise ApiError(sentence, answer.status_code)

    def _read(self, path: str, **arguments: Any) -> httpx.Response:
        """Asks again if the replica that was asked ends or hangs: the next connection may meet another one."""
        for _ in range(_READ_TRIES - 1):
            try:
                return self._http.get(path, timeout=_READ_TIMEOUT_S, **arguments)
            except (httpx.ReadError, httpx.RemoteProtocolError, httpx.ReadTimeout):
                continue
        return self._http.get(path, timeout=_READ_TIMEOUT_S, **arguments)
