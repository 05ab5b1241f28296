"""The credentials, paths and errors of the command line's HTTP client."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from gateway.cli.api_error import AnswerLost, ApiError
from gateway.cli.client import ApiClient, operator_name
from gateway.cli.http_request import BrokenOff, Response, Server


class Gateway:
    """A server that keeps the paths and headers of its requests, and answers with `status`."""

    def __init__(self) -> None:
        self.seen: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.status = 200
        self.content = b""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.paths.append(self.path)
                outer.seen.append({name.lower(): value for name, value in self.headers.items()})
                content = (
                    outer.content or json.dumps([] if outer.status == 200 else {"error": "This needs a key."}).encode()
                )
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
    listening.content = b'{"route": "r"}'
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


@pytest.mark.parametrize(
    "content",
    [b"hello", b"null", b"{}", b'{"routes": []}', b"[]", b'[{"a": 1}]', b"<html>\x1b[2J</html>", b"\xff", b'"a"'],
)
@pytest.mark.parametrize("status", [200, 302, 500])
def test_what_answers_but_is_no_gateway_is_said(listening, content, status):
    listening.content, listening.status = content, status
    client = ApiClient(listening.url)
    for read in (client.status, lambda: client.route("r")):
        with pytest.raises(ApiError, match=f"What answers at {listening.url} is no gateway: it says {status} and"):
            read()
    if content != b"[]" or status != 200:
        with pytest.raises(ApiError, match="is no gateway"):
            client.routes()


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:8000", "localhost", "ftp://localhost", "http://", "http://[::1", "http://a:b", "http://a:70000", "http://a:0",
     "http://me:secret@a", "http://a/?b", "http://a/#b", "unix:///run/x"],
)  # fmt: skip
def test_what_is_no_url_of_a_gateway_is_said(url):
    with pytest.raises(ApiError, match="is not the URL of a gateway"):
        ApiClient(url)


def test_a_gateway_below_a_path_is_asked_there(listening):
    for url in (f"{listening.url}/pointsman", f"{listening.url}/pointsman/"):
        ApiClient(url).routes()
    assert listening.paths == ["/pointsman/api/routes"] * 2


def test_an_argument_that_is_no_text_is_said(listening):
    with pytest.raises(ApiError, match="not valid UTF-8"):
        ApiClient(listening.url).command("r", "pause", {"why": "\udcff"}, 1)
    assert listening.paths == []


def test_a_read_is_tried_again_when_a_replica_ends_but_a_change_is_not(listening, monkeypatch):
    failures = iter([BrokenOff("gone"), BrokenOff("gone"), Response(200, b"[]"), BrokenOff("gone")])
    sent = []

    def send(_: Server, method: str, *__: object) -> Response:
        sent.append(method)
        outcome = next(failures)
        if isinstance(outcome, BrokenOff):
            raise outcome
        return outcome

    monkeypatch.setattr("gateway.cli.client.send", send)
    client = ApiClient(listening.url)
    assert client.routes() == []
    with pytest.raises(AnswerLost, match=r"got the change, but the connection ended before its answer came \(gone\)"):
        client.restore()
    assert sent == ["GET", "GET", "GET", "POST"]


@pytest.mark.parametrize(
    ("error", "expected"), [(ConnectionResetError("gone"), 4), (ConnectionRefusedError("none"), 1)]
)
def test_only_a_replica_that_ended_is_asked_again(listening, monkeypatch, error, expected):
    tried = []

    def connect(_: HTTPConnection) -> None:
        tried.append(error)
        raise error

    monkeypatch.setattr(HTTPConnection, "connect", connect)
    with pytest.raises(ApiError, match=f"No gateway answers at .* \\({error}\\)"):
        ApiClient(listening.url).restore()
    assert len(tried) == expected


def test_the_replica_that_was_to_accept_the_connection_may_end(listening, monkeypatch):
    ends, connect = iter([ConnectionResetError, ConnectionResetError]), HTTPConnection.connect

    def connect_at_last(connection: HTTPConnection) -> None:
        for error in ends:
            raise error
        connect(connection)

    monkeypatch.setattr(HTTPConnection, "connect", connect_at_last)
    assert ApiClient(listening.url).routes() == []
    assert len(listening.paths) == 1


@contextmanager
def answering(*answers: bytes) -> Iterator[str]:
    """Serve one of these answers on each connection, the last one for ever; an empty one closes it. Yield the URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    left = list(answers)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(left.pop(0) if len(left) > 1 else left[0])

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(60)


def test_a_server_of_another_protocol_is_said():
    refused = pytest.raises(ApiError, match="not HTTP, or not complete: BadStatusLine")
    with answering(b"\x00\x00\x18\x04\x1b[2J\r\n") as url, refused:
        ApiClient(url).status()


def test_a_connection_that_ends_without_a_response_is_made_again_three_times():
    whole, half = b"HTTP/1.1 200 OK\r\n\r\n[]", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n["
    with answering(b"", half, b"", whole) as url:
        assert ApiClient(url).routes() == []
    with answering(b"", b"", b"", b"", whole) as url, pytest.raises(ApiError, match="No gateway answers"):
        ApiClient(url).routes()
    with answering(b"", whole) as url, pytest.raises(AnswerLost, match="got the change"):
        ApiClient(url).restore()


def test_a_server_that_says_nothing_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr("gateway.cli.client._READ_TIMEOUT_S", 0.05)
    monkeypatch.setattr("gateway.cli.client._TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = ApiClient(f"http://127.0.0.1:{silent.getsockname()[1]}")
        for ask in (client.status, client.restore):
            with pytest.raises(ApiError, match="timed out"):
                ask()


def test_an_operator_without_a_name_is_unknown(monkeypatch):
    def fail() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr("getpass.getuser", fail)
    assert operator_name() == "unknown"


def test_a_host_that_is_no_name_cannot_be_reached():
    with pytest.raises(ApiError, match="No gateway answers"):
        ApiClient(f"http://{'a' * 64}.example").status()


def test_the_status_of_a_route_is_asked_of_that_route_only(listening):
    listening.content = b'{"replicas": []}'
    client = ApiClient(listening.url)
    client.status(["a b", "c"])
    client.status()
    client.status([f"route-{number}" for number in range(51)])
    assert listening.paths == ["/api/status?route=a+b&route=c", "/api/status", "/api/status"]
