"""Malformed bytes on both ports are refused, and nothing is left of them. POINTSMAN_FUZZ_S sets how long it takes."""

import asyncio
import contextlib
import os
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from itertools import count

import grpc
import httptools
import httpx
import numpy as np
import psutil
import pytest

from gateway.protocols.open_inference_pb2 import ModelInferRequest, ModelInferResponse
from tests.support import malformed
from tests.support.gateway_process import GatewayProcess
from tests.support.polling import wait_until

FUZZ_S = float(os.environ.get("POINTSMAN_FUZZ_S", "6"))
SEED = os.environ.get("POINTSMAN_FUZZ_SEED", "pointsman")
WARM_UP_S = 1.5
LEAST = 500
CONNECTIONS = 16
SILENT_S = 0.1
DRAIN_S = 1.0
MOST_GROWTH_BYTES = 30 * 1024 * 1024
# gRPC also writes tracebacks of its own, when a client is gone before it gets the error.
FAULT = re.compile(r'\.failed|Exception in|Fatal error|never retrieved|File "[^"]*/gateway/')
FAULTS = {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DATA_LOSS}

Send = Callable[[int], Awaitable[None]]


@pytest.fixture
def unharmed(gateway: GatewayProcess) -> Iterator[None]:
    """Require that after the test the gateway answers as before, and holds nothing that it did not hold before."""
    before, logged = answers(gateway), gateway.output.stat().st_size
    yield
    assert gateway.process.poll() is None
    assert answers(gateway) == before
    wait_until(lambda: not connections(gateway), shows=lambda: f"Connections are left over: {connections(gateway)}")
    wait_until(lambda: in_flight(gateway) == 0, shows=lambda: f"{in_flight(gateway)} requests are still in flight.")
    log = gateway.output.read_bytes()[logged:].decode("utf-8", "replace")  # gRPC's core logs the bytes that it got
    assert not [line for line in log.splitlines() if FAULT.search(line)]


def test_malformed_bytes_on_the_http_port_are_refused_and_leave_nothing_behind(gateway, unharmed):
    seen: Counter[int] = Counter()

    async def send(number: int) -> None:
        content = malformed.http(SEED, number)
        for status in statuses(await exchange(gateway.port, content, malformed.chance(number))):
            seen[status] += 1
            assert status < 500, f"{status} to number {number} of seed {SEED}: {content[:2000]!r}"

    stays_small(gateway, send)
    assert {200, 400, 404, 405} <= set(seen), seen  # or else hardly anything was tried


def test_malformed_bytes_on_the_grpc_port_leave_nothing_behind(gateway, unharmed):
    message = request().SerializeToString()

    async def send(number: int) -> None:
        await exchange(gateway.grpc_port, malformed.http2(SEED, number, message), malformed.chance(number))

    stays_small(gateway, send)


def test_malformed_messages_in_well_formed_calls_are_the_callers_fault(gateway, unharmed):
    message = request().SerializeToString()
    seen: Counter[grpc.StatusCode] = Counter()

    async def fuzz() -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{gateway.grpc_port}") as channel:
            infer = channel.unary_unary(malformed.METHOD)

            async def send(number: int) -> None:
                content = malformed.damage(malformed.chance(SEED, number), message)
                try:
                    await infer(content, timeout=120)
                    code = grpc.StatusCode.OK
                except grpc.aio.AioRpcError as error:
                    code = error.code()
                seen[code] += 1
                assert code not in FAULTS, f"{code} to number {number} of seed {SEED}: {content!r}"

            await flood(send, FUZZ_S)

    asyncio.run(fuzz())
    assert {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND} <= set(seen), seen


def stays_small(gateway: GatewayProcess, send: Send) -> None:
    """Flood the gateway. The first moments may cost memory for good (buffers, caches, code); after them little may."""
    process = psutil.Process(gateway.process.pid)
    asyncio.run(flood(send, WARM_UP_S, first=1_000_000))
    before = process.memory_info().rss
    asyncio.run(flood(send, FUZZ_S))
    growth = process.memory_info().rss - before
    assert growth < MOST_GROWTH_BYTES, f"{growth / 1e6:.0f} MB more"


async def flood(send: Send, duration_s: float, first: int = 0) -> None:
    """Send numbered requests for some time, and at least `LEAST` of them, several at once."""
    until_s, numbers = time.monotonic() + duration_s, count(first)

    async def one_after_the_other() -> None:
        while (number := next(numbers)) < first + LEAST or time.monotonic() < until_s:
            await send(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(one_after_the_other())


async def exchange(port: int, content: bytes, random: malformed.Random) -> bytes:
    """Write some bytes, at once or in parts, and read until the peer is silent or leaves."""
    received = bytearray()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(OSError, TimeoutError):
        cut = random.randrange(len(content) + 1) if random.random() < 0.3 else len(content)
        for part in (content[:cut], content[cut:]):
            writer.write(part)
            await asyncio.wait_for(writer.drain(), DRAIN_S)
        if random.random() < 0.5:
            writer.write_eof()
        while more := await asyncio.wait_for(reader.read(65536), SILENT_S):
            received += more
    if random.random() < 0.2:
        writer.transport.abort()
    writer.close()
    with contextlib.suppress(OSError):  # whatever the peer did to the connection
        await writer.wait_closed()
    return bytes(received)


class Statuses:
    """The callbacks of httptools' parser of responses."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.parser = httptools.HttpResponseParser(self)

    def on_headers_complete(self) -> None:
        self.seen.append(self.parser.get_status_code())


def statuses(received: bytes) -> list[int]:
    """Return the status of every response. Bytes that are no response fail the test."""
    answers = Statuses()
    with contextlib.suppress(httptools.HttpParserUpgrade):
        answers.parser.feed_data(received)
    return answers.seen


def request() -> ModelInferRequest:
    message = ModelInferRequest(model_name="digits", id="fuzz")
    tensor = message.inputs.add(name="X", datatype="FP32", shape=[1, 64])
    tensor.contents.fp32_contents.extend(malformed.ROWS[0])
    return message


def answers(gateway: GatewayProcess) -> tuple[list[float], list[float]]:
    """Return the same prediction from both ports."""
    response = httpx.post(f"{gateway.url}{malformed.INFER}", content=malformed.V2, timeout=60, trust_env=False)
    assert response.status_code == 200, response.text
    with grpc.insecure_channel(f"127.0.0.1:{gateway.grpc_port}") as channel:
        infer = channel.unary_unary(malformed.METHOD, response_deserializer=ModelInferResponse.FromString)
        message = infer(request().SerializeToString(), timeout=60, wait_for_ready=True)
    by_http = {output["name"]: output["data"] for output in response.json()["outputs"]}["probabilities"]
    by_grpc = next(list(output.contents.fp32_contents) for output in message.outputs if output.name == "probabilities")
    np.testing.assert_allclose(by_http, by_grpc, rtol=1e-5)
    return by_http, by_grpc


def connections(gateway: GatewayProcess) -> list[str]:
    held = psutil.Process(gateway.process.pid).net_connections("tcp")
    ports = (gateway.port, gateway.grpc_port)
    return [str(each) for each in held if each.status != psutil.CONN_LISTEN and each.laddr.port in ports]


def in_flight(gateway: GatewayProcess) -> float:
    text = httpx.get(f"{gateway.url}/metrics", timeout=60, trust_env=False).text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("pointsman_in_flight"))
