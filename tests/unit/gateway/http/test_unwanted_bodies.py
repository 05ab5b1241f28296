"""The body of a request that is refused: a short one is dropped, of a long one a part is, and the connection ends."""

import contextlib
import http.client
import socket
import time

import pytest

from gateway.http.limits import DROPPED_BYTES
from tests.support import replica
from tests.support.polling import PATIENCE_S, wait_until
from tests.unit.gateway.http.support import connection, head, read_response

LONG = 15_000_000
MOST_SENT = 45_000_000
"""What the buffers of both kernels take on the loopback interface, at most, and what is dropped."""
CHUNKED = ("Transfer-Encoding: chunked",)
INFER, RESTORE = "/v2/models/plain/infer", "/api/restore"


@pytest.fixture(scope="module")
def closed(registry, tmp_path_factory):
    limits = {"body_timeout_s": 2.0, "max_body_bytes": LONG}
    settings = replica.settings_of(registry, tmp_path_factory.mktemp("home"), access="required", **limits)
    with replica.serving(settings) as gateway:
        yield gateway


def opening(path, length):
    """Return the head of a request whose body has a length, or comes in chunks."""
    if length is not None:
        return head(length, path=path)
    return head(0, *CHUNKED, path=path).replace(b"Content-Length: 0\r\n", b"") + b"%x\r\n" % LONG


LONG_BODIES = pytest.mark.parametrize(
    ("path", "length"),
    [(INFER, LONG), (INFER, None), (RESTORE, LONG), (RESTORE, None)],
    ids=["prediction", "prediction in chunks", "operators", "operators in chunks"],
)


@LONG_BODIES
def test_of_a_long_body_without_a_key_little_is_read(closed, path, length):
    with connection(closed) as opened:
        opened.sendall(opening(path, length))
        assert read_response(opened).status == 401
        opened.settimeout(0.5)
        sent, until_s = 0, time.monotonic() + PATIENCE_S
        with contextlib.suppress(OSError):  # it blocks, or the connection is closed
            while sent < 10 * LONG and time.monotonic() < until_s:
                sent += opened.send(bytes(100_000))
        assert sent < MOST_SENT
        wait_until(lambda: not closed.connections())


@pytest.mark.parametrize("path", [INFER, RESTORE])
def test_the_response_says_that_the_connection_ends(closed, path):
    for length, closes in ((DROPPED_BYTES, None), (DROPPED_BYTES + 1, "close"), (LONG + 1, "close"), (None, "close")):
        with connection(closed) as opened:
            opened.sendall(opening(path, length))
            assert read_response(opened).headers.get("connection") == closes


@pytest.mark.parametrize("length", [100_000, 1_500_000, LONG])
def test_a_client_that_sends_its_body_before_it_reads_gets_the_response(closed, length):
    client = http.client.HTTPConnection("127.0.0.1", closed.port, timeout=PATIENCE_S)
    with contextlib.closing(client):
        with contextlib.suppress(BrokenPipeError):  # as urllib3 does: it reads what came before
            client.request("POST", INFER, bytes(length))
        if client._HTTPConnection__state == http.client._CS_REQ_STARTED:
            client._HTTPConnection__state = http.client._CS_REQ_SENT
        response = client.getresponse()
        assert (response.status, b"needs a key" in response.read()) == (401, True)


@pytest.mark.parametrize("path", [INFER, RESTORE])
def test_a_short_body_is_dropped_and_the_connection_goes_on(closed, path):
    with connection(closed) as opened:
        for _ in range(3):
            opened.sendall(head(900_000, path=path))
            assert read_response(opened).status == 401
            opened.sendall(bytes(900_000))


def test_the_rest_of_a_short_body_must_come_in_time(closed):
    with connection(closed) as opened:
        opened.sendall(head(900_000))
        assert read_response(opened).status == 401
        opened.settimeout(0.1)
        until_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < until_s:  # a byte now and then does not help
            opened.send(b"x")
            with contextlib.suppress(socket.timeout):
                assert opened.recv(1) == b""
                break
        else:
            pytest.fail("The connection is open.")
