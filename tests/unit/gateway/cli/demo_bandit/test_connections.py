"""The crowd's connections are kept between requests."""

import json
import socket
import threading
from contextlib import closing

import pytest

from gateway.cli.demo_bandit.connections import BROKEN, Connections, _is_ended
from tests.support.polling import wait_until

BODY = json.dumps({"inputs": [{"name": "X", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}).encode()
HEADERS = {"content-type": "application/json"}


def test_a_connection_is_kept_for_the_next_request(gateway):
    before = set(gateway.connections())
    with closing(Connections(f"http://127.0.0.1:{gateway.port}", HEADERS, 30.0)) as connections:
        answers = [connections.post(f"/v2/models/{route}/infer", BODY) for route in ("plain", "no-such-route", "plain")]
        assert [each.status for each in answers] == [200, 404, 200]
        assert answers[0].headers["x-arm"] == "a"
        assert json.loads(answers[2].content)["model_name"] == "plain"
        assert len(set(gateway.connections()) - before) == 1


def test_a_connection_that_the_server_has_ended_is_not_used():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer_twice() -> None:
            for _ in range(2):  # one request on each connection, which then ends without a word
                with server.accept()[0] as accepted:
                    accepted.recv(10_000)
                    accepted.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

        thread = threading.Thread(target=answer_twice)
        thread.start()
        with closing(Connections(f"http://127.0.0.1:{server.getsockname()[1]}", HEADERS, 30.0)) as connections:
            assert connections.post("/", BODY).status == 200
            (kept,) = connections._free
            wait_until(lambda: _is_ended(kept))
            assert connections.post("/", BODY).status == 200
        thread.join()


def test_without_a_server_there_is_no_response():
    with pytest.raises(BROKEN):
        Connections("http://127.0.0.1:9", HEADERS, 1.0).post("/", b"")
