"""Floods on the gRPC port. The process lives, other connections are answered meanwhile, and the memory returns.

The frames are written by hand. POINTSMAN_FUZZ_S sets how long each flood takes.
"""

import contextlib
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from itertools import count

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.answer_times import answer_times
from tests.support.gateway_process import GatewayProcess
from tests.support.polling import wait_until

FLOOD_S = min(float(os.environ.get("POINTSMAN_FUZZ_S", "1.5")), 60.0)
ANSWERED_WITHIN_S = 1.0
"""On a busy machine of two cores the longest answer took 0.2 s. Without slices, floods of windows end the process."""
MOST_GROWTH_BYTES = 60 * 1024 * 1024
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 8, 9
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def block(path: bytes, *more: bytes) -> bytes:
    fields = [b":method", b"POST", b":scheme", b"http", b":path", path, b"content-type", b"application/grpc", *more]
    texts = b"".join(bytes((len(each),)) + each for each in fields)
    parts, at = b"", 0
    for _ in range(len(fields) // 2):
        end = at + 1 + texts[at]
        end += 1 + texts[end]
        parts, at = parts + b"\0" + texts[at:end], end
    return parts


WORD = struct.Struct(">I").pack
MESSAGE = bytes(5)
CHECK, WATCH, INFER = (
    block(path)
    for path in (
        b"/grpc.health.v1.Health/Check",
        b"/grpc.health.v1.Health/Watch",
        b"/inference.GRPCInferenceService/ModelInfer",
    )
)
OPEN, RESET = frame(HEADERS, 4, 1, INFER), frame(RST_STREAM, 0, 1, WORD(8))


def window(size: int) -> bytes:
    return frame(SETTINGS, 0, 0, struct.pack(">HI", 4, size))


def calls(headers: bytes, number: int, *, ends: bool = True) -> bytes:
    ended = [frame(DATA, 1, 2 * each + 1, MESSAGE) if ends else b"" for each in range(number)]
    return b"".join(frame(HEADERS, 4, 2 * each + 1, headers) + end for each, end in enumerate(ended))


def numbered(*kinds: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield streams without end, a hundred in a piece. Each has the frames that `kinds` return for its number."""
    for first in count(1, 200 * len(kinds)):
        pieces = enumerate(kinds * 100)
        yield b"".join(kind(first + 2 * index) for index, kind in pieces)


def again(content: bytes) -> Iterator[bytes]:
    while True:
        yield content * 500


def reset_call(number: int) -> bytes:
    return frame(HEADERS, 4, number, WATCH) + frame(DATA, 1, number, MESSAGE) + frame(RST_STREAM, 0, number, WORD(8))


FLOODS: dict[str, tuple[bytes, Callable[[], Iterator[bytes]]]] = {
    "ping": (b"", lambda: again(frame(PING, 0, 0, bytes(8)))),
    "settings": (b"", lambda: again(frame(SETTINGS, 0, 0))),
    "priority": (b"", lambda: again(frame(PRIORITY, 0, 1, bytes(5)))),
    "unknown": (b"", lambda: again(frame(0x55, 0, 0, b"x"))),
    "empty data": (OPEN, lambda: again(frame(DATA, 0, 1))),
    "padding": (OPEN, lambda: again(frame(DATA, 8, 1, b"\xff" + bytes(255)))),
    "empty continuation": (frame(HEADERS, 0, 1, INFER), lambda: again(frame(CONTINUATION, 0, 1))),
    "closed streams": (OPEN + RESET, lambda: again(frame(WINDOW_UPDATE, 0, 1, WORD(1)) + RESET)),
    "window dribble": (window(0) + calls(CHECK, 1024), lambda: again(frame(WINDOW_UPDATE, 0, 0, WORD(1)))),
    "stream dribble": (window(0) + calls(CHECK, 1024), lambda: again(frame(WINDOW_UPDATE, 0, 1, WORD(1)))),
    "window moves": (calls(CHECK, 1024, ends=False), lambda: again(window(1) + window(2))),
    "malformed": (b"", lambda: numbered(lambda each: frame(HEADERS, 5, each, block(b"/x", b"X", b"y")))),
    "rapid reset": (b"", lambda: numbered(reset_call)),
    "rapid reset, half answered": (
        b"",
        lambda: numbered(reset_call, lambda each: frame(HEADERS, 5, each, block(b"/no/such"))),
    ),
    "answered": (b"", lambda: numbered(lambda each: frame(HEADERS, 4, each, CHECK) + frame(DATA, 1, each, MESSAGE))),
    "table updates": (b"", lambda: again(frame(HEADERS, 5, 1, b"\x20" * 16_000))),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_ends_nothing_but_its_connection_and_delays_others_little(gateway: GatewayProcess, flood: str) -> None:
    prelude, pieces = FLOODS[flood]
    process = psutil.Process(gateway.process.pid)
    before = process.memory_info().rss
    with answered(gateway.grpc_port) as answers:
        send(gateway.grpc_port, prelude, pieces())
        wait_until(lambda: len(answers) > 3)
    assert gateway.process.poll() is None
    print(f"{flood}: {max(answers):.3f} s, {len(answers)} answers")  # noqa: T201  # shown if it fails, or with -s
    assert max(answers) < ANSWERED_WITHIN_S, f"the longest answer took {max(answers):.3f} s"
    growth = process.memory_info().rss - before
    assert growth < MOST_GROWTH_BYTES, f"{growth / 1e6:.0f} MB more"


@contextlib.contextmanager
def health(port: int) -> Iterator[Callable[[], object]]:
    """Connect. Yield a function that asks for health."""
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        yield lambda: check(health_pb2.HealthCheckRequest(), timeout=30)


def answered(port: int) -> contextlib.AbstractContextManager[list[float]]:
    """Ask for health on a connection of its own, again and again. Note how long each answer takes."""
    return answer_times(lambda: health(port), grpc.RpcError)


def send(port: int, prelude: bytes, pieces: Iterator[bytes]) -> None:
    """Send for some time, and read what comes. If the server ends the connection, connect again and go on."""
    until_s = time.monotonic() + FLOOD_S
    while time.monotonic() < until_s:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as client, contextlib.suppress(OSError):
            client.sendall(PREFACE + frame(SETTINGS, 0, 0) + prelude)
            for piece in pieces:
                client.sendall(piece)
                with contextlib.suppress(BlockingIOError):
                    client.recv(1 << 18, socket.MSG_DONTWAIT)
                if time.monotonic() > until_s:
                    return
