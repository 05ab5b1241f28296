"""The bytes that HTTP requests hold count against one budget, are refused above it, and are given back."""

import contextlib
import json
import socket
import struct
import threading

import numpy as np
import pytest

from tests.support import replica
from tests.support.polling import wait_until
from tests.unit.gateway.http.support import connection, head, json_request, read_response

BUDGET_BYTES = 2_000_000
BODY_BYTES = 900_000


@pytest.fixture(scope="module")
def gateway(registry, tmp_path_factory):
    settings = replica.settings_of(registry, tmp_path_factory.mktemp("home"), max_unfinished_bytes=BUDGET_BYTES)
    with replica.serving(settings) as running:
        yield running


@pytest.fixture(autouse=True)
def everything_is_given_back(gateway):
    yield
    wait_until(lambda: left(gateway) == BUDGET_BYTES and not gateway.connections())


def left(gateway):
    return gateway.replica._endpoint.budget.left


def unread(gateway):
    """Return the bytes of responses for which the transports wait."""
    return sum(each._unread.held for each in list(gateway.connections()))


@contextlib.contextmanager
def unfinished(gateway, *sent_bytes: int, start=None):
    """Begin a body for each of these, send so many bytes of it, and end none."""
    with contextlib.ExitStack() as stack:
        begun = [stack.enter_context(connection(gateway)) for _ in sent_bytes]
        for opened in begun:
            opened.sendall(start or head(BODY_BYTES))
        wait_until(lambda: sum(each._heads for each in gateway.connections()) == len(begun))
        for opened, size in zip(begun, sent_bytes, strict=True):
            opened.sendall(bytes(size))
        yield begun


CHUNKED = head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"%x\r\n" % BODY_BYTES


@pytest.mark.parametrize("start", [head(BODY_BYTES), CHUNKED], ids=["length", "chunked"])
def test_bodies_above_the_budget_are_refused_and_small_requests_are_served(gateway, start):
    with unfinished(gateway, *[250_000] * 7, 0, start=start) as begun, connection(gateway) as opened:
        wait_until(lambda: left(gateway) == BUDGET_BYTES - 7 * 250_000)
        begun[7].sendall(bytes(250_000))  # begun when there was room
        if start is CHUNKED:  # it is dropped to its end before it is refused
            begun[7].sendall(bytes(BODY_BYTES - 250_000) + b"\r\n0\r\n\r\n")
        assert refused(begun[7])
        opened.sendall(json_request([[1, 2, 3, 4]]))
        assert read_response(opened).status == 200
        opened.sendall(head(BODY_BYTES) + bytes(BODY_BYTES))
        assert refused(opened)
    wait_until(lambda: left(gateway) == BUDGET_BYTES)
    with connection(gateway) as opened:
        opened.sendall(json_request(np.ones((10_000, 4))))
        assert read_response(opened).status == 200


def refused(opened):
    response = read_response(opened)
    assert (response.status, response.headers["x-error"]) == (429, "Overloaded")
    return "try again" in json.loads(response.content)["error"]


def test_a_body_that_is_refused_on_its_way_frees_what_it_held(gateway):
    with unfinished(gateway, *[BODY_BYTES - 1] * 3):
        wait_until(lambda: left(gateway) > BUDGET_BYTES / 16)
        with connection(gateway) as opened:
            opened.sendall(json_request([[1, 2, 3, 4]]))
            assert read_response(opened).status == 200


def test_small_bodies_that_are_not_here_as_a_whole_count_too(gateway):
    with unfinished(gateway, *[100] * 10, start=head(60_000)):
        wait_until(lambda: left(gateway) == BUDGET_BYTES - 600_000)


@pytest.mark.parametrize("end", ["close", "reset", "half"])
def test_a_body_that_breaks_off_is_given_back(gateway, end):
    with unfinished(gateway, 500_000) as (opened,):
        wait_until(lambda: left(gateway) < BUDGET_BYTES)
        if end == "reset":
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif end == "half":
            opened.shutdown(socket.SHUT_WR)


def test_a_response_that_is_not_read_counts(gateway):
    request = json_request(np.full((10_000, 4), 1.5))

    def send(opened):
        with contextlib.suppress(OSError):  # in the end the gateway does not read either
            for _ in range(1000):  # the system's buffers take some megabytes
                opened.sendall(request)

    with connection(gateway) as opened:
        sending = threading.Thread(target=send, args=(opened,))
        sending.start()
        wait_until(lambda: unread(gateway) > 0)
        opened.shutdown(socket.SHUT_RDWR)
        sending.join()
