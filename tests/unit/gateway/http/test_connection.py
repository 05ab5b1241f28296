"""Predictions run in the parser's callback: the responses do not depend on how the bytes arrive."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from gateway.execution.latency import LatencyModel
from tests.support.polling import PATIENCE_S, wait_until
from tests.unit.gateway.http.support import connection, head, json_request, read_response


def body_of(rows: int) -> bytes:
    data = [0.125] * (rows * 4)
    return json.dumps({"inputs": [{"name": "X", "datatype": "FP32", "shape": [rows, 4], "data": data}]}).encode()


def test_a_body_that_comes_byte_by_byte_is_answered(gateway):
    body = body_of(1)
    with connection(gateway) as opened:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in head(len(body)) + body:
            opened.send(bytes([byte]))
        status, headers, content = read_response(opened)
    assert status == 200
    assert headers["x-arm"] == "a"
    assert json.loads(content)["outputs"][0]["data"] == [1]


def test_requests_sent_at_once_are_answered_in_order(gateway):
    bodies = [body_of(rows) for rows in (1, 2, 3)]
    with connection(gateway) as opened:
        opened.sendall(b"".join(head(len(body)) + body for body in bodies))
        responses = [read_response(opened) for _ in bodies]
    assert [json.loads(content)["outputs"][0]["shape"] for _, _, content in responses] == [[1], [2], [3]]


def test_a_connection_is_kept_unless_the_client_says_otherwise(gateway):
    body = body_of(1)
    with connection(gateway) as opened:
        for _ in range(2):
            opened.sendall(head(len(body)) + body)
            assert read_response(opened)[0] == 200
        opened.sendall(head(len(body), "Connection: close") + body)
        status, headers, _ = read_response(opened)
        assert (status, headers["connection"]) == (200, "close")
        assert opened.recv(1) == b""


def test_a_client_that_waits_for_100_continue_gets_it(gateway):
    body = body_of(1)
    with connection(gateway) as opened:
        opened.sendall(head(len(body), "Expect: 100-continue"))
        assert opened.recv(100).startswith(b"HTTP/1.1 100 Continue")
        opened.sendall(body)
        assert read_response(opened)[0] == 200


def test_a_client_that_disconnects_before_its_body_does_no_harm(gateway):
    with connection(gateway) as opened:
        opened.sendall(head(1000) + b'{"inputs"')
    assert gateway.infer().status_code == 200


def test_a_body_of_many_packets_is_answered(gateway):
    body = body_of(20_000)
    assert len(body) > 100_000
    with connection(gateway) as opened:
        opened.sendall(head(len(body)) + body)
        status, _, content = read_response(opened)
    assert status == 200
    assert json.loads(content)["outputs"][0]["shape"] == [20_000]


def test_a_response_to_head_has_no_body(gateway):
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
    response = gateway.http.post(f"/v2/models/{path}/infer", content=chunks)
    assert response.status_code == (200 if path == "plain" else 404)


def test_many_requests_in_one_packet_are_answered_in_order_on_one_connection(gateway):
    with connection(gateway) as opened:
        for _ in range(3):
            opened.sendall(b"".join(json_request([[row, 0, 0, 0]], route="plain") for row in range(20)))
            responses = [read_response(opened) for _ in range(20)]
            assert [response.scores()[0, 1] for response in responses] == [row / 8 for row in range(20)]


def test_errors_and_predictions_in_one_packet_come_in_order(gateway):
    good, bad, lost = json_request([[1, 2, 3, 4]]), head(1) + b"{", json_request([[1, 2, 3, 4]], route="nowhere")
    with connection(gateway) as opened:
        opened.sendall(bad + good + lost + good + bad)
        assert [read_response(opened).status for _ in range(5)] == [400, 200, 404, 200, 400]


def test_bytes_that_are_not_http_end_a_connection_after_the_responses_before_them(gateway):
    with connection(gateway) as opened:
        opened.sendall(json_request([[1, 2, 3, 4]]) + b"NO SUCH THING\r\n\r\n")
        response = read_response(opened)
        assert (response.status, response.headers["connection"]) == (200, "close")
        assert opened.recv(1) == b""
    with connection(gateway) as opened:
        opened.sendall(head(1) + b"{" + b"NO SUCH THING\r\n\r\n")  # rejected before any model runs
        assert [read_response(opened).headers.get("x-error") for _ in range(2)] == ["BadRequest", "BadRequest"]
        assert opened.recv(1) == b""


@pytest.mark.parametrize("more", ["Content-Length: 5", "Transfer-Encoding: chunked"])
def test_a_second_length_is_refused(gateway, more):
    with connection(gateway) as opened:
        opened.sendall(json_request([[1, 2, 3, 4]], "plain", more))
        assert read_response(opened).status == 400
        assert opened.recv(1) == b""


@contextmanager
def held_model(gateway) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Make the model of the route `plain` run in a thread, and wait in it.

    The first event is set when the model has started. Setting the second lets it go on.
    """
    executor = gateway.replica._holder.current.routes["plain"].arms[0].lane.executor
    runtime, latency, run = executor._runtime, executor.latency, executor._runtime.run
    started, release = threading.Event(), threading.Event()

    def hold(inputs, outputs):
        started.set()
        release.wait(PATIENCE_S)
        return run(inputs, outputs)

    runtime.run, executor.latency = hold, LatencyModel(1.0)
    try:
        yield started, release
    finally:
        release.set()
        runtime.run, executor.latency = run, latency


def chunked(request: bytes) -> bytes:
    """Return the request with its body in one chunk. Without Content-Length it goes through ASGI."""
    before, _, body = request.partition(b"\r\n\r\n")
    lines = [line for line in before.split(b"\r\n") if not line.startswith(b"Content-Length")]
    return b"\r\n".join([*lines, b"Transfer-Encoding: chunked", b"", b"%x" % len(body), body, b"0", b"", b""])


both_paths = pytest.mark.parametrize("encoded", [bytes, chunked], ids=["callback", "ASGI"])


@both_paths
def test_a_client_that_disconnects_while_the_model_runs_is_recorded(gateway, encoded):
    trace = ("5" if encoded is bytes else "7") * 32
    with held_model(gateway) as (started, _):
        with connection(gateway) as opened:
            opened.sendall(encoded(json_request([[1, 2, 3, 4]], "plain", f"Traceparent: 00-{trace}-{'6' * 16}-01")))
            assert started.wait(PATIENCE_S)
        wait_until(lambda: gateway.replica.in_flight() == 0)
    assert gateway.found(f"trace_id = '{trace}'", "outcome, status, error_code") == [
        {"outcome": "error", "status": 499, "error_code": "ClientGone"}
    ]
    assert gateway.infer().status_code == 200


@both_paths
def test_a_half_closed_client_gets_its_response(gateway, encoded):
    with held_model(gateway) as (started, release), connection(gateway) as opened:
        opened.sendall(encoded(json_request([[1, 2, 3, 4]])))
        assert started.wait(PATIENCE_S)
        opened.shutdown(socket.SHUT_WR)
        # Written at once: it shows whether the client is still there.
        assert opened.recv(9, socket.MSG_WAITALL | socket.MSG_PEEK) == b"HTTP/1.1 "
        release.set()
        response = read_response(opened)
        assert (response.status, response.headers["connection"]) == (200, "close")
        assert response.scores().shape == (1, 2)
        assert opened.recv(1) == b""


@pytest.mark.parametrize("sent", [b"", b"POST /v2/models/plain", head(10) + b"{"], ids=["nothing", "a line", "a body"])
def test_a_half_closed_client_without_a_whole_request_is_disconnected(gateway, sent):
    with connection(gateway) as opened:
        opened.sendall(sent)
        opened.shutdown(socket.SHUT_WR)
        assert opened.recv(1) == b""


def test_a_half_closed_client_after_its_response_is_disconnected(gateway):
    with connection(gateway) as opened:
        opened.sendall(json_request([[1, 2, 3, 4]]))
        assert read_response(opened).status == 200
        opened.shutdown(socket.SHUT_WR)
        assert opened.recv(1) == b""


@pytest.mark.parametrize("rows", [1, 6000], ids=["small", "large"])
def test_a_client_that_asks_for_http_2_is_answered_in_http_1(gateway, rows):
    """Java's client sends this with its first request, unless it is configured not to."""
    upgrade = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAAB")
    body = json_request(np.zeros((rows, 4)), "plain", *upgrade)
    cut = body.index(b"\r\n\r\n") + 4
    for first in (cut, len(body)):
        with connection(gateway) as opened:
            opened.sendall(body[:first])
            opened.sendall(body[first:])
            assert read_response(opened).scores().shape == (rows, 2)
            opened.sendall(json_request([[1, 2, 3, 4]]))
            assert read_response(opened).status == 200
