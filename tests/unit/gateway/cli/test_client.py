"""The credentials, paths and errors of the command line's HTTP client."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from gateway.cli.client import ApiClient, ApiError


class Gateway:
    """A server that keeps the paths and headers of its requests, and answers with `status`."""

    def __init__(self) -> None:
        self.seen: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.status = 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.paths.append(self.path)
                outer.seen.append({name.lower(): value for name, value in self.headers.items()})
                content = json.dumps([] if outer.status == 200 else {"error": "This needs a key."}).encode()
                self.send_response(outer.status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def listening() -> Iterator[Gateway]:
    gateway = Gateway()
    threading.Thread(target=gateway.server.serve_forever, args=(0.01,), daemon=True).start()
    yield gateway
    gateway.server.shutdown()
    gateway.server.server_close()


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("POINTSMAN_KEY", "POINTSMAN_CA", "POINTSMAN_CLIENT_CERTIFICATE"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def list_routes(gateway: Gateway) -> None:
    ApiClient(gateway.url).routes()


def test_the_key_of_the_environment_is_sent(listening, environment):
    environment.setenv("POINTSMAN_KEY", " pk_1_2\n")
    list_routes(listening)
    assert listening.seen[0]["authorization"] == "Bearer pk_1_2"


@pytest.mark.parametrize("key", [None, "", "  "])
def test_without_a_key_none_is_sent(listening, environment, key):
    if key is not None:
        environment.setenv("POINTSMAN_KEY", key)
    list_routes(listening)
    assert "authorization" not in listening.seen[0]
    assert listening.seen[0]["x-operator"]


@pytest.mark.parametrize("key", ["pk 1", "pk_\n1", "pk_ä", "pk_\x00".replace("\x00", "\x01")])
def test_a_key_that_no_header_could_hold_is_said_and_not_repeated(environment, key):
    environment.setenv("POINTSMAN_KEY", key)
    with pytest.raises(ApiError, match="POINTSMAN_KEY is neither") as refused:
        ApiClient("http://127.0.0.1:9")
    assert key not in str(refused.value)


def test_what_the_gateway_says_of_a_missing_key_is_passed_on(listening):
    listening.status = 401
    with pytest.raises(ApiError, match="This needs a key"):
        list_routes(listening)


@pytest.mark.parametrize("name", ["POINTSMAN_CA", "POINTSMAN_CLIENT_CERTIFICATE"])
def test_a_certificate_that_cannot_be_read_is_said(environment, tmp_path, name):
    for path in (tmp_path / "nowhere.pem", tmp_path / "bad.pem"):
        environment.setenv(name, str(path))
        with pytest.raises(ApiError, match="cannot be used"):
            ApiClient("https://127.0.0.1:9")
        (tmp_path / "bad.pem").write_text("no PEM")


def test_the_name_of_a_route_leads_nowhere_else(listening):
    client = ApiClient(listening.url)
    for name in ("../status", "a?b", "a#b"):
        client.route(name)
    assert listening.paths == ["/api/routes/..%2Fstatus", "/api/routes/a%3Fb", "/api/routes/a%23b"]


def test_a_route_that_is_not_there_is_none_but_one_that_may_not_be_seen_is_refused(listening):
    client = ApiClient(listening.url)
    listening.status = 404
    assert client.find("r") is None
    listening.status = 403
    with pytest.raises(ApiError, match="This needs a key") as refused:
        client.find("r")
    assert refused.value.status == 403
