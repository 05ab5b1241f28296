"""Requests by the million: small ones in pipelines, large ones, refused ones, and uploads that break off.

Each thread has one connection. What has an id that was answered with success must be one row of the log.
"""

import socket
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from loadtests.soak.bodies import Protocol, body_of
from loadtests.soak.counts import Counts
from loadtests.soak.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    frames_of,
    prediction_headers,
)
from loadtests.soak.models import echo

BATCH: Final = 50
"""Requests that are sent before the first response is read."""
LARGE_BYTES: Final = 16 * 1024 * 1024
LIMIT_S: Final = 120.0
_ID: Final = "m-%012d"
_BLANK_ID: Final = (_ID % 0).encode()
_ROUTE: Final = echo("FP32")
_OK, _REFUSED = b"HTTP/1.1 200", b"HTTP/1.1 4"
_WINDOW: Final = 2**31 - 1


class Template:
    """Bytes with one id in them."""

    def __init__(self, content: bytes) -> None:
        self._before, found, self._behind = content.partition(_BLANK_ID)
        if not found:
            raise ValueError("There is no id to fill in.")

    def fill(self, number: int) -> bytes:
        """Return the bytes with another id."""
        return b"".join((self._before, (_ID % number).encode(), self._behind))


def post(path: str, body: bytes, *headers: str) -> bytes:
    """Return a request of HTTP/1.1."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def small_requests() -> list[Template]:
    """Return small requests of every form over HTTP, in the proportions in which they are sent."""
    generator, infer = np.random.default_rng(1), f"/v2/models/{_ROUTE}/infer"
    found = []
    for protocol in (Protocol.JSON, Protocol.JSON, Protocol.BINARY):
        body = body_of(protocol, _ROUTE, "FP32", 0, generator)
        content = body.content.replace(b"{", b'{"id": "%b", ' % _BLANK_ID, 1)
        length = len(content) - len(body.content) + (body.json_bytes or 0)
        headers = [f"Inference-Header-Content-Length: {length}"] if body.json_bytes else []
        found.append(Template(post(infer, content, *headers)))
    return found


def large_request(number: int) -> bytes:
    """Return a binary request at the limit of the body."""
    body = body_of(Protocol.BINARY, _ROUTE, "FP32", LARGE_BYTES, np.random.default_rng(number))
    content = body.content.replace(b"{", b'{"id": "%b", ' % (_ID % number).encode(), 1)
    length = len(content) - len(body.content) + (body.json_bytes or 0)
    return post(f"/v2/models/{_ROUTE}/infer", content, f"Inference-Header-Content-Length: {length}")


def run_small(port: int, counts: Counts) -> None:
    """Send small requests over HTTP in pipelines."""
    templates = small_requests()
    with connected(port) as opened:
        while numbers := counts.take(BATCH):
            opened.sendall(b"".join([templates[each % len(templates)].fill(each) for each in numbers]))
            answers = read_responses(opened, len(numbers))
            good = answers.count(_OK)
            counts.add(answered=good)
            if good < len(numbers):
                counts.fail(f"{len(numbers) - good} of {len(numbers)} small requests failed: {answers[:200]!r}")
                return


def run_grpc(port: int, counts: Counts) -> None:
    """Send small calls over gRPC, many streams at a time."""
    content = body_of(Protocol.RAW, _ROUTE, "FP32", 0, np.random.default_rng(1)).content
    message = content + b"\x1a" + bytes((len(_BLANK_ID),)) + _BLANK_ID  # field 3 is the id
    template, block = Template(b"\0" + len(message).to_bytes(4, "big") + message), prediction_headers()
    received, stream = bytearray(), 1
    with connected(port) as opened:
        widen = frame(WINDOW_UPDATE, 0, 0, (_WINDOW - 65_535).to_bytes(4, "big"))
        opened.sendall(PREFACE + frame(SETTINGS, 0, 0) + widen)
        while numbers := counts.take(BATCH):
            sent = []
            for number in numbers:
                sent.append(frame(HEADERS, END_HEADERS, stream, block))
                sent.append(frame(DATA, END_STREAM, stream, template.fill(number)))
                stream += 2
            opened.sendall(b"".join(sent))
            good = _read_calls(opened, received, len(numbers), counts)
            counts.add(answered=good)
            if good < len(numbers):
                return


def run_refused(port: int, counts: Counts) -> None:
    """Send one pipeline of what must be refused: unknown routes, malformed bodies, wrong shapes."""
    infer = f"/v2/models/{_ROUTE}/infer"
    wrong = b'{"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 3], "data": [1]}]}'
    kinds = [post("/v2/models/nothing/infer", wrong), post(infer, b"{"), post(infer, wrong)]
    with connected(port) as opened:
        numbers = counts.take(BATCH)
        opened.sendall(b"".join([kinds[each % len(kinds)] for each in numbers]))
        answers = read_responses(opened, len(numbers))
        counts.add(refused=answers.count(_REFUSED))
        if answers.count(_REFUSED) < len(numbers):
            counts.fail(f"Wrong requests were not refused: {answers[:200]!r}")


def run_large(port: int, counts: Counts) -> None:
    """Send one body at the limit, and break off one upload."""
    for number in counts.take(1):
        request = large_request(number)
        with connected(port) as opened:
            opened.sendall(request)
            answers = read_responses(opened, 1)
            counts.add(answered=answers.count(_OK), large=1)
            if _OK not in answers:
                counts.fail(f"A body at the limit failed: {answers[:200]!r}")
    for number in counts.take(1):
        with connected(port) as opened:
            request = large_request(number)
            opened.sendall(request[: len(request) * 3 // 4])
        counts.add(broken_off=1)


def connected(port: int) -> socket.socket:
    """Return a connection to a port of this machine. What takes longer than `LIMIT_S` raises TimeoutError."""
    opened = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return opened


def read_responses(opened: socket.socket, number: int) -> bytes:
    """Return the heads of so many responses, and drop their bodies."""
    received = bytearray()
    heads: list[bytes] = []
    for _ in range(number):
        while (end := received.find(b"\r\n\r\n")) < 0:
            if not _more(opened, received):
                return b"".join(heads)
        head = bytes(received[: end + 4])
        heads.append(head)
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        del received[: end + 4]
        while len(received) < length:
            length -= len(received)
            received.clear()
            if not _more(opened, received):
                return b"".join(heads)
        del received[:length]
    return b"".join(heads)


def _more(opened: socket.socket, received: bytearray) -> int:
    part = opened.recv(1 << 18)
    received += part
    return len(part)


def _read_calls(opened: socket.socket, received: bytearray, number: int, counts: Counts) -> int:
    """Return how many calls succeeded, when so many have ended."""
    ended = good = unread = 0
    while ended < number:
        if not _more(opened, received):
            counts.fail("The gRPC connection ended.")
            return good
        for each in frames_of(received):
            if each.kind == DATA:
                unread += len(each.payload)
            elif each.kind == RST_STREAM or (each.kind == HEADERS and each.flags & END_STREAM):
                ended += 1
                good += b"grpc-status\x010" in each.payload
                if b"grpc-status\x010" not in each.payload:
                    counts.fail(f"A call failed: {each}")
            elif each.kind == SETTINGS and not each.flags:
                opened.sendall(frame(SETTINGS, 1, 0))
            elif each.kind == GOAWAY:
                counts.fail(f"The gRPC connection is going away: {each}")
    if unread:
        opened.sendall(frame(WINDOW_UPDATE, 0, 0, unread.to_bytes(4, "big")))
    return good


def guarded(work: Callable[[int, Counts], None]) -> Callable[[int, Counts], None]:
    """Return the work, with its errors noted as faults."""

    def run(port: int, counts: Counts) -> Any:
        try:
            work(port, counts)
        except OSError as error:
            counts.fail(f"{work.__name__}: {error!r}")

    return run
