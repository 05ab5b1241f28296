"""Single requests within the limits that once took seconds of the event loop. Others are answered meanwhile."""

import contextlib
import gzip
import socket
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.support.answer_times import answer_times
from tests.support.gateway_process import GatewayProcess
from tests.support.polling import PATIENCE_S, wait_until

ANSWERED_WITHIN_S = 4.5
"""Below the 5 s after which the watchdog ends the process, as it did when these were decoded on the event loop. On an
idle machine of two cores the longest answer takes 0.5 s: parsing one body holds the interpreter for so long."""
DIGITS, V1 = "/v2/models/digits/infer", "/v1/models/digits:predict"


def tensor(rows: int, words: bytes, count: int, after: bytes = b"") -> bytes:
    data = b",".join([words] * count) + after
    return b'{"inputs":[{"name":"X","shape":[%d,64],"datatype":"FP32","data":[%s]}]}' % (rows, data)


def packed(content: bytes) -> tuple[bytes, dict[str, str]]:
    return gzip.compress(content, 1), {"content-encoding": "gzip"}


REQUESTS = {
    "nan": lambda: (DIGITS, (tensor(50_000, b"NaN", 3_200_000), {}), 200),
    "nan, compressed": lambda: (DIGITS, packed(tensor(64_000, b"NaN", 4_096_000)), 413),
    "a nan among strings": lambda: (DIGITS, (tensor(64_000, b'""', 5_300_000, b",NaN"), {}), 400),
    "nan, v1": lambda: (V1, (b'{"instances":[' + b",".join([b"[NaN]"] * 2_700_000) + b"]}", {}), 400),
    "nan, v1, compressed": lambda: (V1, packed(b'{"instances":[' + b",".join([b"[NaN]"] * 2_700_000) + b"]}"), 413),
    "wrong shape": lambda: (DIGITS, (tensor(1, b"0", 8_000_000), {}), 400),
    "many rows": lambda: (DIGITS, (tensor(65_000, b"0", 65_000 * 64), {}), 200),
    "many rows, compressed response": lambda: (
        DIGITS,
        (tensor(65_000, b"0", 65_000 * 64), {"accept-encoding": "gzip"}),
        200,
    ),
}


@contextlib.contextmanager
def health(gateway: GatewayProcess) -> Iterator[Callable[[], object]]:
    """Connect. Yield a function that asks for health."""
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=PATIENCE_S) as client:
        yield lambda: client.get("/v2/health/live").raise_for_status()


def answered(gateway: GatewayProcess) -> contextlib.AbstractContextManager[list[float]]:
    """Ask for health again and again. Note how long each answer takes."""
    return answer_times(lambda: health(gateway), httpx.HTTPError)


@pytest.mark.parametrize("name", REQUESTS)
def test_one_heavy_request_delays_no_other(gateway, name):
    path, (body, headers), status = REQUESTS[name]()
    with answered(gateway) as taken_s:
        given = {"accept-encoding": "identity", **headers}
        response = httpx.post(f"{gateway.url}{path}", content=body, headers=given, timeout=PATIENCE_S, trust_env=False)
        assert response.status_code == status, response.text[:300]
        wait_until(lambda: len(taken_s) > 3)
    assert gateway.process.poll() is None
    print(f"{name}: {max(taken_s):.3f} s")  # noqa: T201  # shown if it fails, or with -s
    assert max(taken_s) < ANSWERED_WITHIN_S


def test_bodies_that_end_in_the_same_turn_delay_no_other(gateway):
    body, headers = packed(tensor(16_000, b"0", 16_000 * 64))
    head = f"POST {DIGITS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
    with contextlib.ExitStack() as stack, answered(gateway) as taken_s:
        clients = []
        for _ in range(32):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE_S))
            client.sendall(head.encode() + body[:-1])
            clients.append(client)
        wait_until(lambda: len(taken_s) > 3)
        for client in clients:
            client.sendall(body[-1:])
        assert {client.recv(12)[9:] for client in clients} <= {b"200", b"413", b"503"}
        wait_until(lambda: len(taken_s) > 3)
    assert gateway.process.poll() is None
    assert max(taken_s) < ANSWERED_WITHIN_S
