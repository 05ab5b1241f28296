"""Clients without a key, who send all that once ended a replica. Callers with a key notice nothing."""

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.integration.test_http2_floods import FLOODS, send
from tests.support.components import in_soak
from tests.support.gateway_process import GatewayProcess, running
from tests.support.load import Load

pytestmark = in_soak
STRANGERS = 8
LASTS_S = 2.0
LONGEST_S = 5.0
"""Where nothing is wrong, a busy machine of two cores answers within a second."""
HEAD = b"POST /v2/models/cancer/infer HTTP/1.1\r\nHost: localhost\r\n"


@dataclass
class TimedLoad(Load):
    """Keep-alive clients, and the longest time that a response took."""

    longest_s: float = 0.0

    def _send(self, connection: http.client.HTTPConnection, port: int, earlier: int) -> bool:
        began_s = time.monotonic()
        goes_on = super()._send(connection, port, earlier)
        self.longest_s = max(self.longest_s, time.monotonic() - began_s)
        return goes_on


@pytest.fixture(scope="module")
def closed(gateway: GatewayProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """Start two replicas that require a key."""
    settings = {"POINTSMAN_ACCESS": "required", "POINTSMAN_REGISTRY": str(gateway.home / "models")}
    home = tmp_path_factory.mktemp("closed") / "var"
    closed = GatewayProcess(home, POINTSMAN_ALLOW_PICKLE="true", **settings)
    with running(closed):
        yield closed


@pytest.fixture(scope="module")
def key(closed: GatewayProcess) -> str:
    done = closed.cli("keys", "create", "shop", "--scope", "predict", "--scope", "read", "--json")
    assert done.returncode == 0, done.stderr
    return next(value for value in json.loads(done.stdout).values() if str(value).startswith("pk_"))


def endless(port: int, start: bytes, part: bytes) -> None:
    """Send a request without an end, on one connection after the other."""
    until_s = time.monotonic() + LASTS_S
    while time.monotonic() < until_s:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as opened:
            opened.sendall(start)
            while time.monotonic() < until_s:
                opened.sendall(part)


def broken_off(port: int) -> None:
    until_s = time.monotonic() + LASTS_S
    while time.monotonic() < until_s:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as opened:
            opened.sendall(HEAD + b"Content-Length: 15000000\r\n\r\n" + bytes(10_000_000))


ATTACKS: dict[str, Callable[[GatewayProcess], None]] = {
    **{
        name: lambda closed, name=name: send(closed.grpc_port, FLOODS[name][0], FLOODS[name][1]())
        for name in ("window dribble", "window moves", "settings", "empty data", "rapid reset", "malformed")
    },
    "a header without an end": lambda closed: endless(closed.port, HEAD + b"X-A: ", b"a" * 2**20),
    "many headers": lambda closed: endless(closed.port, HEAD, b"a:b\r\n" * 100_000),
    "uploads that break off": lambda closed: broken_off(closed.port),
}


@pytest.fixture(scope="module")
def load(closed, key, body) -> Iterator[TimedLoad]:
    with TimedLoad(closed.port, body, clients=2, headers={"authorization": f"Bearer {key}"}) as load:
        load.wait_for(100)  # a new key is known within a second
        del load.failed[:]
        load.longest_s = 0.0
        yield load


@pytest.mark.parametrize("attack", ATTACKS)
def test_strangers_end_no_replica_and_fail_no_request_of_others(closed, load, attack):
    before = len(load.failed)
    load.longest_s = 0.0
    strangers = [threading.Thread(target=ATTACKS[attack], args=(closed,)) for _ in range(STRANGERS)]
    for each in strangers:
        each.start()
    for each in strangers:
        each.join()
    load.wait_for(50)
    assert load.failed[before:] == []
    assert load.longest_s < LONGEST_S
    assert "wedged" not in closed.output.read_text()
