"""What holds on the HTTP port holds on the gRPC port: units, trailers, credentials, and clients that only connect."""

import contextlib
import itertools
import json
import re
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest

from gateway.protocols.open_inference_pb2 import ModelInferRequest, ModelInferResponse
from tests.support.gateway_process import GatewayProcess, running
from tests.support.polling import PATIENCE_S, wait_until

METHOD = "/inference.GRPCInferenceService/ModelInfer"
ROW = [float(index) for index in range(30)]
BODY = json.dumps({"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 30], "data": ROW}]}).encode()
UNITS = [f"u{number}" for number in range(60)]
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = bytes.fromhex("000000040000000000")
DATA, HEADERS = 0, 1
FEW_DESCRIPTORS = 400
LARGE = 15_000_000


def message() -> bytes:
    tensor = {"name": "X", "datatype": "FP32", "shape": [1, 30]}
    request = ModelInferRequest(model_name="cancer", inputs=[tensor], raw_input_contents=[struct.pack("<30f", *ROW)])
    content: bytes = request.SerializeToString()
    return content


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def field(name: bytes, value: bytes) -> bytes:
    return b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value


def opening(*more: tuple[bytes, bytes]) -> bytes:
    """Return the header block of a prediction."""
    fields = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", METHOD.encode()), (b":authority", b"x"))
    grpcs = ((b"content-type", b"application/grpc"), (b"te", b"trailers"))
    return b"".join(itertools.starmap(field, (*fields, *grpcs, *more)))


def grpc_exchange(port: int, *more: tuple[bytes, bytes], trailers: bytes = b"", content: bytes | None = None) -> bytes:
    """Send one call in frames written by hand. Return what came until its end."""
    body = message() if content is None else content
    framed = b"\0" + len(body).to_bytes(4, "big") + body
    sent = PREFACE + SETTINGS + frame(HEADERS, 4, 1, opening(*more))
    sent += frame(DATA, 0 if trailers else 1, 1, framed) + (frame(HEADERS, 5, 1, trailers) if trailers else b"")
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as opened:
        opened.sendall(sent)
        return until(opened, b"grpc-status")


def until(opened: socket.socket, mark: bytes) -> bytes:
    """Return what comes up to the packet that has the mark."""
    received = b""
    while mark not in received:
        part = opened.recv(65_536)
        assert part, received
        received += part
    return received


def arm_in(received: bytes) -> str:
    """Return the arm that a response in frames names: the only one of the two names that is in it."""
    found = {name for name in ("stable", "canary") if name.encode() in received}
    assert len(found) == 1, received
    return found.pop()


def http_arm(gateway: GatewayProcess, headers: list[tuple[str, str]]) -> str:
    response = httpx.post(f"{gateway.url}/v2/models/cancer/infer", content=BODY, headers=headers, trust_env=False)
    assert response.status_code == 200, response.text
    return response.headers["x-arm"]


def grpc_arm(gateway: GatewayProcess, metadata: list[tuple[str, str]]) -> str:
    with grpc.insecure_channel(gateway.grpc, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        answer = ModelInferResponse.FromString(channel.unary_unary(METHOD)(message(), metadata=metadata, timeout=60))
    return answer.parameters["arm"].string_param


def test_a_unit_that_is_sent_twice_is_the_last_one_on_both_ports(gateway):
    alone = [http_arm(gateway, [("x-user-id", unit)]) for unit in UNITS]
    assert len(set(alone)) == 2
    twice = [[("x-user-id", "other"), ("x-user-id", unit)] for unit in UNITS]
    assert [http_arm(gateway, headers) for headers in twice] == alone
    assert [grpc_arm(gateway, metadata) for metadata in twice] == alone


def test_a_trailer_is_no_header_on_both_ports(gateway):
    chunked = (
        b"POST /v2/models/cancer/infer HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nx-user-id: %s\r\n"
    )
    for unit in UNITS[:10]:
        arm = http_arm(gateway, [("x-user-id", unit)])
        other = {"stable": "canary", "canary": "stable"}[arm].encode()
        trailers = field(b"x-force-arm", other) + field(b"x-user-id", b"other")
        assert arm_in(grpc_exchange(gateway.grpc_port, (b"x-user-id", unit.encode()), trailers=trailers)) == arm
        head = chunked % unit.encode() + b"Connection: close\r\n\r\n"
        body = b"%x\r\n%s\r\n0\r\nx-force-arm: %s\r\nx-user-id: other\r\n\r\n" % (len(BODY), BODY, other)
        received = exchange(gateway.port, head + body)
        assert re.search(rb"\r\nx-arm: (\w+)", received)[1].decode() == arm


def exchange(port: int, sent: bytes) -> bytes:
    """Send bytes to the HTTP port, and read until the server ends the connection."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as opened:
        opened.sendall(sent)
        with contextlib.suppress(ConnectionResetError):
            while part := opened.recv(65_536):
                received += part
    return received


@pytest.fixture(scope="module")
def key(closed_gateway: GatewayProcess) -> str:
    """Make a key that the closed gateway knows."""
    done = closed_gateway.cli("keys", "create", "shop", "--scope", "predict", "--json")
    assert done.returncode == 0, done.stderr
    shown = next(value for value in json.loads(done.stdout).values() if str(value).startswith("pk_"))
    headers = {"authorization": f"Bearer {shown}"}
    url = f"{closed_gateway.url}/v2/models/cancer/infer"
    wait_until(lambda: httpx.post(url, content=BODY, headers=headers, trust_env=False).status_code == 200)
    return shown


def status_of(closed: GatewayProcess, head: str, trailer: str = "") -> bytes:
    first = f"POST /v2/models/cancer/infer HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{head}"
    sent = first.encode() + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n" % (len(BODY), BODY)
    return exchange(closed.port, sent + trailer.encode() + b"\r\n")[9:12]


def test_a_key_in_a_trailer_opens_nothing_on_both_ports(closed_gateway, key):
    trailer = f"Authorization: Bearer {key}\r\n"
    assert status_of(closed_gateway, "", trailer) == b"401"
    assert status_of(closed_gateway, "Authorization: Bearer pk_wrong\r\n", trailer) == b"401"
    assert status_of(closed_gateway, trailer) == b"200"
    trailers = field(b"authorization", f"Bearer {key}".encode())
    assert b"grpc-status\x0216" in grpc_exchange(closed_gateway.grpc_port, trailers=trailers)
    wrong = (b"authorization", b"Bearer pk_wrong")
    assert b"grpc-status\x0216" in grpc_exchange(closed_gateway.grpc_port, wrong, trailers=trailers)


@pytest.mark.parametrize("behind", [" ", "\t", " \t  "], ids=["space", "tab", "several"])
def test_blanks_behind_a_key_do_not_count_on_both_ports(closed_gateway, key, behind):
    for name, value in (("authorization", f"Bearer {key}"), ("x-api-key", key)):
        assert status_of(closed_gateway, f"{name}: {value}{behind}\r\n") == b"200"
        received = grpc_exchange(closed_gateway.grpc_port, (name.encode(), f"{value}{behind}".encode()))
        assert b"grpc-status\x010" in received, received


def test_an_upload_without_a_key_is_refused_before_it_is_read(closed_gateway):
    with socket.create_connection(("127.0.0.1", closed_gateway.port), timeout=PATIENCE_S) as opened:
        head = f"POST /v2/models/cancer/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: {LARGE}\r\n\r\n"
        opened.sendall(head.encode())
        assert opened.recv(65_536)[9:12] == b"401"


def test_a_call_without_a_key_is_refused_before_its_message_on_a_connection_that_stays(closed_gateway, key):
    with socket.create_connection(("127.0.0.1", closed_gateway.grpc_port), timeout=PATIENCE_S) as opened:
        opened.sendall(PREFACE + SETTINGS + frame(HEADERS, 4, 1, opening()))
        assert b"grpc-status\x0216" in until(opened, b"grpc-status")
        opened.sendall(frame(DATA, 0, 1, bytes(16_384)) * 4)  # all that its window allows
        framed = b"\0" + len(message()).to_bytes(4, "big") + message()
        opened.sendall(frame(HEADERS, 4, 3, opening((b"x-api-key", key.encode()))) + frame(DATA, 1, 3, framed))
        assert b"grpc-status\x010" in until(opened, b"grpc-status")


@pytest.fixture(scope="module")
def with_few_descriptors(gateway, tmp_path_factory) -> Iterator[GatewayProcess]:
    """Serve with a limit of open files that the process cannot raise."""
    folder = tmp_path_factory.mktemp("few")
    command = folder / "bin" / "pointsman"
    command.parent.mkdir()
    command.write_text(
        f'#!/bin/sh\nulimit -n {FEW_DESCRIPTORS}\nexec {Path(sys.executable).parent / "pointsman"} "$@"\n'
    )
    command.chmod(0o755)
    settings = {"POINTSMAN_ENGINE": "uvicorn", "POINTSMAN_REGISTRY": str(gateway.home / "models")}
    few = GatewayProcess(folder / "var", POINTSMAN_ALLOW_PICKLE="true", **settings)
    few.environment["PATH"] = f"{command.parent}:{few.environment['PATH']}"
    with running(few):
        yield few


def is_answered(few: GatewayProcess) -> bool:
    response = httpx.get(f"{few.url}/v2/health/live", trust_env=False, timeout=10)
    metrics = httpx.get(f"{few.url}/metrics", trust_env=False, timeout=10)
    return (response.status_code, metrics.status_code) == (200, 200) and bool(grpc_arm(few, []))


def silent(port: int, greeting: bytes) -> list[socket.socket]:
    """Open as many connections as the server's descriptors, and a few more."""
    opened = []
    for _ in range(FEW_DESCRIPTORS + 50):
        client = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        opened.append(client)
        with contextlib.suppress(OSError):
            client.sendall(greeting)
    return opened


@pytest.mark.parametrize("is_grpc", [False, True], ids=["http", "grpc"])
def test_clients_that_only_connect_keep_no_other_out(with_few_descriptors, is_grpc):
    few = with_few_descriptors
    opened = silent(few.grpc_port, PREFACE + SETTINGS) if is_grpc else silent(few.port, b"")
    try:
        retried = (httpx.HTTPError, grpc.RpcError)
        wait_until(lambda: is_answered(few), within_s=20, retried=retried)
    finally:
        for each in opened:
            each.close()
