"""Large uploads without a key, to either port. Each must be refused before its body, of which nothing is kept."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from loadtests.soak.frames import DATA, HEADERS, PREFACE, SETTINGS, frame, prediction_headers
from loadtests.soak.gateway import Gateway
from loadtests.soak.models import echo

UPLOAD_BYTES: Final = 15_000_000
MOST_ACCEPTED_BYTES: Final = 8 * 1024 * 1024
"""Of one upload: what the kernel's buffers of both ends take on the loopback interface, and a little more."""
MOST_GROWTH_BYTES: Final = 128 * 1024**2
_REFUSED_WITHIN_S: Final = 5.0
_PATH: Final = f"/v2/models/{echo('FP32')}/infer"
HEAD: Final = f"POST {_PATH} HTTP/1.1\r\nHost: localhost\r\n".encode()
STREAM: Final = PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, 4, 1, prediction_headers())


def try_uploads(gateway: Gateway, rows: list[dict[str, Any]], faults: list[str], number: int) -> None:
    """Send large bodies without a key to one port after the other, and judge what was accepted of them."""
    head = HEAD + b"Content-Length: %d\r\n\r\n" % UPLOAD_BYTES
    message = b"\0" + UPLOAD_BYTES.to_bytes(4, "big")
    chunks = frame(DATA, 0, 1, message + bytes(16_379)) + frame(DATA, 0, 1, bytes(16_384)) * (UPLOAD_BYTES // 16_384)
    for name, port, opening, body in (
        ("HTTP", gateway.port, head, bytes(UPLOAD_BYTES)),
        ("gRPC", gateway.grpc_port, STREAM, chunks),
    ):
        before = gateway.resident_bytes()
        with _uploads(port, opening, number) as clients:
            until_s = time.monotonic() + _REFUSED_WITHIN_S
            refused = sum(_is_refused(client, until_s) for client in clients)
            accepted = _push(clients, body)
            growth = gateway.resident_bytes() - before
        row = {"port": name, "refused_before_the_body": refused, "of": number, "most_accepted": max(accepted)}
        rows.append(row | {"growth_mb": round(growth / 1e6)})
        if refused < number:
            faults.append(f"{name}: {number - refused} of {number} uploads without a key wait for their body")
        if max(accepted) > MOST_ACCEPTED_BYTES:
            faults.append(f"{name}: {max(accepted):,} bytes of an upload without a key were accepted")
        if growth > MOST_GROWTH_BYTES:
            faults.append(f"{name}: {growth / 1e6:.0f} MB are held of uploads without a key")


@contextmanager
def _uploads(port: int, opening: bytes, number: int) -> Iterator[list[socket.socket]]:
    clients = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(number)]
    try:
        for client in clients:
            client.sendall(opening)
        yield clients
    finally:
        for client in clients:
            client.close()


def _is_refused(client: socket.socket, until_s: float) -> bool:
    """Return True if the client is told before it has sent a byte of its body."""
    client.settimeout(max(until_s - time.monotonic(), 0.01))
    received = b""
    with suppress(OSError):
        while part := client.recv(65_536):
            received += part
            if b" 401 " in received or b"grpc-status\x0216" in received:
                return True
    return False


def _push(clients: list[socket.socket], body: bytes) -> list[int]:
    """Send as much of a body on each connection as is taken, until nothing was taken for a second."""
    sent = [0] * len(clients)
    gone: set[int] = set()
    until_s = time.monotonic() + 1
    for client in clients:
        client.setblocking(False)
    while time.monotonic() < until_s:
        for index, client in enumerate(clients):
            try:
                taken = 0 if index in gone else client.send(body[sent[index] : sent[index] + 262_144])
            except BlockingIOError:
                taken = 0
            except OSError:
                gone.add(index)
                taken = 0
            sent[index] += taken
            if taken:
                until_s = time.monotonic() + 1
        time.sleep(0.001)
    return sent
