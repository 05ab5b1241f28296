"""The HTTP client of MLflow's REST API.

Redirects are not followed, so no other host gets the credentials. Each error becomes a sentence that says what to do.
"""

import contextlib
import time
import weakref
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote, urlencode

import httpx
import msgspec

from registry_sync.errors import NotAllowed, RegistryUnavailable
from registry_sync.registries.mlflow.answers import Refusal
from registry_sync.registries.mlflow.auth import BODY_SHA256
from registry_sync.registries.mlflow.bounded import TIMEOUT, TIMEOUT_OF_FILES, read_bounded, read_pieces
from registry_sync.registries.mlflow.errors import Missing, NotAccepted, NotThere
from registry_sync.registries.mlflow.paced import pace
from registry_sync.registries.mlflow.server import Server

Answer = TypeVar("Answer", bound=msgspec.Struct)

_MAX_ANSWER_BYTES = 16 * 1024 * 1024
_MAX_ERROR_BYTES = 64 * 1024
_MOST_CHARACTERS = 300
_MOST_PAGES = 1000
_PAGES_WITHIN_S = 60.0
"""For a whole list: each page has a limit of its own, and a thousand slow ones would take hours."""
_MISSING = ("DOES_NOT_EXIST", "NOT_FOUND")
_NO_ENDPOINT = "ENDPOINT_NOT_FOUND"
_RIGHTS = {
    "mlflow-artifacts/": "the experiment in which the model was logged, with its artifacts",
    "mlflow/runs/": "the experiment in which the model was logged",
    "mlflow/logged-models": "the experiment in which the model was logged",
    "mlflow/experiments/": "experiments",
}
"""What MLflow asks permissions for, by a part of the path."""


class MlflowClient:
    """One server. Several threads may use it. All methods raise `RegistryUnavailable`."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._client = httpx.Client(
            auth=server.auth,
            headers={"User-Agent": "pointsman", "Accept-Encoding": "identity", **server.headers},
            timeout=TIMEOUT,
            verify=server.verify,
        )
        pace(self._client)
        weakref.finalize(self, self._client.close)

    def get(self, path: str, answer: type[Answer], params: Mapping[str, str | int]) -> Answer:
        """Ask for something below `/api/2.0/`.

        Raises:
            Missing: MLflow says that there is no such thing.
            NotAccepted: MLflow refuses the question.
        """
        return self._call(self._request("GET", path, params), answer)

    def post(self, path: str, answer: type[Answer], body: Mapping[str, Any], method: str = "POST") -> Answer:
        """Change something below `/api/2.0/`. Raises like `get`."""
        return self._call(self._request(method, path, {}, json=body), answer)

    def pages(self, path: str, answer: type[Answer], params: Mapping[str, str | int]) -> Iterator[Answer]:
        """Ask for one page after the other. Raises like `get`."""
        token: str | None = ""
        until_s = time.monotonic() + _PAGES_WITHIN_S
        for _ in range(_MOST_PAGES):
            page = self.get(path, answer, {**params, "page_token": token} if token else params)
            yield page
            before, token = token, getattr(page, "next_page_token", None)
            if not token:
                return
            if token == before or time.monotonic() > until_s:
                break
        raise RegistryUnavailable(f"{self.server.url} never ends its list of {path}.")

    def read(self, path: str, most_bytes: int) -> Iterator[bytes]:
        """Read a file piece by piece. What is shorter than its Content-Length is noticed. Raises like `get`."""
        request = self._request("GET", path, {}, timeout=TIMEOUT_OF_FILES)
        with self._opened(request) as response, self._named(request):
            yield from read_pieces(response, most_bytes)

    def upload(self, path: str, content: Iterator[bytes] | bytes, size: int, sha256: str) -> None:
        """Write a file. Raises like `get`."""
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        more: dict[str, Any] = {"extensions": {BODY_SHA256: sha256}, "timeout": TIMEOUT_OF_FILES}
        request = self._request("PUT", path, {}, content=content, headers=headers, **more)
        with self._opened(request):
            pass

    def _request(self, method: str, path: str, params: Mapping[str, str | int], **more: Any) -> httpx.Request:
        query = f"?{urlencode(params, quote_via=quote)}" if params else ""  # SigV4 wants %20 for a space
        return self._client.build_request(method, f"{self.server.url}/api/2.0/{quote(path)}{query}", **more)

    def _call(self, request: httpx.Request, answer: type[Answer]) -> Answer:
        with self._opened(request) as response, self._named(request):
            content = read_bounded(response, _MAX_ANSWER_BYTES)
        try:
            return msgspec.json.decode(content or b"{}", type=answer, strict=False)
        except (msgspec.DecodeError, RecursionError) as error:
            kind = response.headers.get("content-type", "no content type")
            raise RegistryUnavailable(
                f"{_name(request)} answers with something that is not MLflow's ({kind}): {error}. Does "
                "POINTSMAN_REGISTRY name the server itself, or is a proxy or a page to log in before it?"
            ) from error

    @contextlib.contextmanager
    def _opened(self, request: httpx.Request) -> Iterator[httpx.Response]:
        """Send a request. The body of the response is still to be read."""
        with self._named(request):
            try:
                response = self._client.send(request, stream=True)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                if request.method != "GET":
                    raise
                response = self._client.send(request, stream=True)  # the server may have ended an idle connection
        try:
            if not response.is_success:
                with self._named(request):
                    content = read_bounded(response, _MAX_ERROR_BYTES)
                self._refuse(response, content)
            yield response
        finally:
            response.close()

    @contextlib.contextmanager
    def _named(self, request: httpx.Request) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException as error:
            why = str(error) if "too slowly" in str(error) else type(error).__name__
            raise RegistryUnavailable(f"{_name(request)} does not answer in time ({why}).") from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            why = str(error).rstrip(".") or type(error).__name__
            if "CERTIFICATE_VERIFY_FAILED" in why:
                why += ". MLFLOW_TRACKING_SERVER_CERT_PATH names the authority that the server's certificate is from"
            raise RegistryUnavailable(f"{_name(request)} cannot be asked: {why}.") from error

    def _refuse(self, response: httpx.Response, content: bytes) -> NoReturn:
        name, status = _name(response.request), response.status_code
        try:
            said = msgspec.json.decode(content, type=Refusal)
        except (msgspec.DecodeError, RecursionError):
            said = Refusal()
        text = "".join(
            each if each.isprintable() else " " for each in str(said.message or said.detail)[:_MOST_CHARACTERS]
        ).strip()
        why = f": {text.rstrip('.')}" if text else ""
        if response.is_redirect:
            raise RegistryUnavailable(
                f"{name} sends to {response.headers.get('location')!r}, which is not followed: another host must not "
                "get the credentials. Write that address in POINTSMAN_REGISTRY. If it is a page to log in, the "
                f"credentials are missing. {self.server.advice}"
            )
        if status == 401 or (status == 403 and self.server.auth is None):
            raise RegistryUnavailable(f"{name} refuses the credentials ({status}){why}. {self.server.advice}")
        if status == 403:
            raise NotAllowed(f"{name} answers 403{why}. {_lacking(response.request)}{self.server.advice_403}")
        if status == 404 and said.error_code != _NO_ENDPOINT and said.error_code.endswith(_MISSING):
            raise Missing(text)
        if status == 404:
            raise NotThere(
                f"{name} is not there (404){why}. Check the address and the prefix of MLflow in POINTSMAN_REGISTRY."
            )
        if 400 <= status < 500 and status != 429:
            raise NotAccepted(f"{name} does not accept this ({status} {said.error_code}){why}.", said.error_code)
        raise RegistryUnavailable(f"{name} answers {status}{why}. The log of MLflow says more.")


def _name(request: httpx.Request) -> str:
    return f"MLflow at {request.url.copy_with(query=None)}"


def _lacking(request: httpx.Request) -> str:
    """Return which right an account lacks that gets 403 for a request."""
    path = request.url.path.partition("/api/2.0/")[2]
    of = next((right for part, right in _RIGHTS.items() if part in path), "registered models and their versions")
    return f"The account lacks the right to {'read' if request.method == 'GET' else 'edit'} {of}."
