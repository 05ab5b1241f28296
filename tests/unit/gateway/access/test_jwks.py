"""How the signing keys stay current."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from structlog.testing import capture_logs

from gateway.access.jwks import REREAD_S, RETRY_S, JwksSource

EVENT = "gateway.jwks"


class Fetch:
    """A source whose content a test sets. It counts how often it is read."""

    def __init__(self, content: bytes) -> None:
        self.content: bytes | Exception = content
        self.times = 0

    def __call__(self) -> bytes:
        self.times += 1
        if isinstance(self.content, Exception):
            raise self.content
        return self.content


@pytest.fixture
def fetch(issuer) -> Fetch:
    return Fetch(issuer.jwks())


@pytest.fixture
def source(fetch) -> JwksSource:
    return JwksSource("keys.json", fetch)


def ids(source: JwksSource) -> list[str]:
    return sorted(source.current.by_id)


def test_nothing_is_read_before_the_first_tick(source, fetch):
    assert source.current is None
    assert fetch.times == 0
    source.tick(0.0)
    assert ids(source) == ["ES256", "EdDSA", "RS256"]


def test_it_is_read_again_every_five_minutes(source, fetch, issuer):
    source.tick(0.0)
    fetch.content = issuer.jwks("ES256")
    source.tick(REREAD_S - 1)
    assert fetch.times == 1
    source.tick(REREAD_S)
    assert ids(source) == ["ES256"]


def test_an_unknown_key_makes_it_read_sooner_but_not_often(source, fetch):
    source.tick(0.0)
    for now_s in range(1, 100):
        source.refresh_soon()
        source.tick(float(now_s))
    assert fetch.times == 1 + 99 // RETRY_S


def test_one_request_makes_it_read_once(source, fetch):
    source.tick(0.0)
    source.refresh_soon()
    for now_s in range(1, 100):
        source.tick(float(now_s))
    assert fetch.times == 2


@pytest.mark.parametrize("failure", [OSError("down"), b"<html>", b'{"keys": []}', RuntimeError("what?")])
def test_the_last_good_keys_stay_while_the_source_is_down(source, fetch, issuer, failure):
    source.tick(0.0)
    before = source.current
    fetch.content = failure
    with capture_logs() as logs:
        source.tick(REREAD_S)
    assert source.current is before
    assert [(entry["event"], entry["kept"]) for entry in logs] == [("gateway.jwks.failed", True)]
    fetch.content = issuer.jwks("EdDSA")
    source.tick(REREAD_S + RETRY_S - 1)
    assert source.current is before
    source.tick(REREAD_S + RETRY_S)
    assert ids(source) == ["EdDSA"]


def test_a_source_that_is_down_from_the_start_is_tried_again(source, fetch, issuer):
    fetch.content = OSError("down")
    for now_s in range(100):
        source.tick(float(now_s))
    assert source.current is None
    assert fetch.times == 100 // RETRY_S
    fetch.content = issuer.jwks()
    source.tick(100.0)
    assert source.current is not None


def test_the_same_content_keeps_the_same_keys(source, fetch):
    source.tick(0.0)
    before = source.current
    source.tick(REREAD_S)
    assert fetch.times == 2
    assert source.current is before


def test_skipped_keys_are_logged(source, fetch, issuer):
    fetch.content = issuer.jwks("ES256").replace(b'{"keys": [', b'{"keys": [{"kty": "oct", "kid": "shared"}, ')
    with capture_logs() as logs:
        source.tick(0.0)
    assert [(entry["event"], entry["keys"]) for entry in logs] == [("gateway.jwks.live", ["ES256"])]
    assert "key shared" in logs[0]["skipped"][0]


def test_a_file_is_read(tmp_path, issuer):
    path = tmp_path / "jwks.json"
    source = JwksSource(str(path))
    with capture_logs() as logs:
        source.tick(0.0)
    assert "No such file" in logs[0]["error"]
    path.write_bytes(issuer.jwks("RS256"))
    source.tick(RETRY_S)
    assert ids(source) == ["RS256"]


@pytest.fixture
def served(monkeypatch) -> Iterator[Callable[[int, bytes], str]]:
    """Return a function that serves one response on loopback and returns its URL."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    servers: list[HTTPServer] = []

    def serve(status: int, content: bytes) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("location", "http://127.0.0.1:9/elsewhere")
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/jwks"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_url_is_read(served, issuer):
    source = JwksSource(served(200, issuer.jwks("ES256")))
    source.tick(0.0)
    assert ids(source) == ["ES256"]


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_response_with_another_status_is_a_failure(served, issuer, status):
    source = JwksSource(served(status, issuer.jwks()))
    with capture_logs() as logs:
        source.tick(0.0)
    assert source.current is None
    assert str(status) in logs[0]["error"]


@pytest.mark.parametrize(
    "location",
    [
        "http://idp.example.org/jwks",
        "http://10.0.0.1/jwks",
        "ftp://idp/jwks",
        "http://127.0.0.1.evil.org/",
        "http:///x",
    ],
)
def test_plain_http_over_a_network_is_refused(location):
    with pytest.raises(ValueError, match="must be a file or an https:// URL"):
        JwksSource(location)


def test_a_password_in_the_url_is_refused_and_not_repeated():
    with pytest.raises(ValueError, match="must not hold a password") as refused:
        JwksSource("https://ada:hunter2@idp.example.org/jwks")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("location", ["https://idp.example.org/jwks", "http://localhost:9/jwks", "http://[::1]:9/jwks"])
def test_https_and_loopback_urls_are_taken(location):
    assert JwksSource(location).current is None
