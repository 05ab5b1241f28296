"""Predictions answered in the parser's callback: the same answers, whatever the bytes arrive as."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def connection(gateway) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=3) as opened:
        yield opened


def body_of(rows: int) -> bytes:
    data = [0.125] * (rows * 4)
    return json.dumps({"inputs": [{"name": "X", "datatype": "FP32", "shape": [rows, 4], "data": data}]}).encode()


def head(length: int, *more: str, method: str = "POST", path: str = "/v2/models/plain/infer") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: gateway", f"Content-Length: {length}", *more]
    return "\r\n".join([*lines, "", ""]).encode()


def read_answer(opened: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """One answer with a Content-Length."""
    with opened.makefile("rb", buffering=0) as file:
        status = int(file.readline().split()[1])
        headers = {}
        while (line := file.readline().strip()) != b"":
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        content = b""
        while len(content) < int(headers["content-length"]):
            content += file.read(int(headers["content-length"]) - len(content))
    return status, headers, content


def test_a_body_that_comes_byte_by_byte_is_answered(gateway):
    body = body_of(1)
    with connection(gateway) as opened:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in head(len(body)) + body:
            opened.send(bytes([byte]))
        status, headers, content = read_answer(opened)
    assert status == 200
    assert headers["x-arm"] == "a"
    assert json.loads(content)["outputs"][0]["data"] == [1]


def test_requests_sent_at_once_are_answered_in_turn(gateway):
    bodies = [body_of(rows) for rows in (1, 2, 3)]
    with connection(gateway) as opened:
        opened.sendall(b"".join(head(len(body)) + body for body in bodies))
        answers = [read_answer(opened) for _ in bodies]
    assert [json.loads(content)["outputs"][0]["shape"] for _, _, content in answers] == [[1], [2], [3]]


def test_a_connection_is_kept_unless_the_client_says_otherwise(gateway):
    body = body_of(1)
    with connection(gateway) as opened:
        for _ in range(2):
            opened.sendall(head(len(body)) + body)
            assert read_answer(opened)[0] == 200
        opened.sendall(head(len(body), "Connection: close") + body)
        status, headers, _ = read_answer(opened)
        assert (status, headers["connection"]) == (200, "close")
        assert opened.recv(1) == b""


def test_a_client_that_waits_for_100_continue_is_told_to_go_on(gateway):
    body = body_of(1)
    with connection(gateway) as opened:
        opened.sendall(head(len(body), "Expect: 100-continue"))
        assert opened.recv(100).startswith(b"HTTP/1.1 100 Continue")
        opened.sendall(body)
        assert read_answer(opened)[0] == 200


def test_a_client_that_leaves_before_its_body_does_no_harm(gateway):
    with connection(gateway) as opened:
        opened.sendall(head(1000) + b'{"inputs"')
    assert gateway.infer().status_code == 200


def test_a_body_of_many_packets_is_answered(gateway):
    body = body_of(20_000)
    assert len(body) > 100_000
    with connection(gateway) as opened:
        opened.settimeout(1)
        opened.sendall(head(len(body)) + body)
        status, _, content = read_answer(opened)
    assert status == 200
    assert json.loads(content)["outputs"][0]["shape"] == [20_000]


def test_an_answer_to_head_has_no_body(gateway):
    body = body_of(1)
    with connection(gateway) as opened:
        opened.sendall(head(0, method="HEAD"))
        assert opened.recv(9) == b"HTTP/1.1 "
        received = b""
        opened.sendall(head(len(body), "Connection: close") + body)
        while chunk := opened.recv(65536):
            received += chunk
    assert received.startswith(b"405")
    assert received.partition(b"\r\n\r\n")[2].startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("path", ["plain", "nowhere"])
def test_a_chunked_body_is_read_to_its_end(gateway, path):
    body = body_of(2)
    chunks = iter([body[:50], body[50:]])
    answer = gateway.http.post(f"/v2/models/{path}/infer", content=chunks)
    assert answer.status_code == (200 if path == "plain" else 404)
