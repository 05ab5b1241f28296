"""The gRPC server: its port, its health, its reflection, and its end."""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tritonclient.grpc.aio import InferenceServerClient, InferInput

from gateway.eventloop.body_budget import BodyBudget
from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.eventloop.offload import Offload
from gateway.grpc.reflection import V1, V1ALPHA
from gateway.grpc.rewards import SERVICE as REWARDS
from gateway.grpc.server import SERVICE, GrpcServer
from gateway.replica.ports import bind_port
from tests.support.polling import PATIENCE_S, wait_until_async
from tests.unit.gateway.grpc.support import (
    Client,
    Served,
    StubService,
    channel_to,
    limits_of,
    methods_of,
    request,
    serving,
)

MESSAGE = request().SerializeToString()
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


def behind(use: Callable[[Served, StubService], Coroutine[Any, Any, None]], **more: Any) -> None:
    async def run() -> None:
        service = StubService()
        async with serving(methods_of(service), **more) as served:
            await asyncio.wait_for(use(served, service), PATIENCE_S)

    asyncio.run(run())


def test_a_port_that_somebody_holds_cannot_be_had():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(OSError, match="in use"):
            bind_port("127.0.0.1", other.getsockname()[1])


def test_replicas_share_a_port():
    async def use(first: Served, _: StubService) -> None:
        async with serving(methods_of(StubService()), port=first.port) as second:
            assert second.port == first.port
            assert first.listener.is_listening()
            assert second.listener.is_listening()
        assert not second.listener.is_listening()

    behind(use)


def test_addresses_of_version_6_are_taken():
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")

    async def use(served: Served, _: StubService) -> None:
        await served.client.infer(request())

    behind(use, host="::1")


def test_connections_without_another_end_are_noticed():
    async def run() -> None:
        bound = bind_port("127.0.0.1", 0)
        listener = GrpcServer(
            {}, lambda: True, EndOfTurn(), limits=limits_of(1000), budget=BodyBudget(1000), offload=Offload()
        )
        await listener.start(bound)
        assert bound.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert bound.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
        await listener.drain(0)

    asyncio.run(run())


def test_a_client_that_keeps_the_port_waiting_is_disconnected():
    async def use(served: Served, _: StubService) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        await reader.read()
        writer.close()
        await served.client.infer(request())

    behind(use, hello_s=0.5)


def test_the_idlest_connection_gives_way_when_there_are_too_many():
    async def use(served: Served, _: StubService) -> None:
        await served.client.infer(request())
        idle = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(9)]
        for each, _writer in idle:
            await each.read(9)  # the server's settings
        newest = [channel_to(served.port) for _ in range(3)]
        for channel in newest:
            await Client(channel).infer(request())
        closed = [await asyncio.wait_for(_is_closed(each), PATIENCE_S) for each, _writer in idle]
        assert sum(closed) >= 2  # the first client's connection may have given way, too
        assert len(served.listener._connections) <= 10
        for channel in newest:
            await channel.close()
        for _each, writer in idle:
            writer.close()

    behind(use, max_connections=10)


async def _is_closed(reader: asyncio.StreamReader) -> bool:
    """Return True if the server closes the connection within a moment."""
    try:
        async with asyncio.timeout(0.2):
            await reader.read()
    except TimeoutError:
        return False
    return True


def test_a_connection_with_a_call_does_not_give_way():
    async def use(served: Served, _: StubService) -> None:
        stub: Any = health_pb2_grpc.HealthStub(served.client.channel)
        watched = stub.Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        assert (await watched.read()).status == SERVING
        others = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(30)]
        await asyncio.wait_for(others[0][0].read(), PATIENCE_S)
        assert not watched.done()
        for _each, writer in others:
            writer.close()

    behind(use, max_connections=10)


def test_connections_that_only_watch_health_keep_no_other_out():
    async def use(served: Served, stub: StubService) -> None:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(10):
                watching: Any = health_pb2_grpc.HealthStub(await stack.enter_async_context(channel_to(served.port)))
                watched = watching.Watch(health_pb2.HealthCheckRequest(service=SERVICE))
                assert (await watched.read()).status == SERVING
            await served.client.infer(request(), timeout=PATIENCE_S)
        assert len(stub.calls) == 1

    behind(use, max_connections=10)


def test_health_is_asked_for_the_process_and_for_the_service():
    ready = True

    async def use(served: Served, _: StubService) -> None:
        nonlocal ready
        stub: Any = health_pb2_grpc.HealthStub(served.client.channel)
        for service in ("", SERVICE):
            assert (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status == SERVING
        ready = False
        assert (await stub.Check(health_pb2.HealthCheckRequest())).status == NOT_SERVING
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Check(health_pb2.HealthCheckRequest(service="other"))
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND

    behind(use, is_ready=lambda: ready)


def test_who_watches_health_sees_it_change_and_end():
    ready = False

    async def use(served: Served, _: StubService) -> None:
        nonlocal ready
        stub: Any = health_pb2_grpc.HealthStub(served.client.channel)
        watched = stub.Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        unknown = stub.Watch(health_pb2.HealthCheckRequest(service="other"))
        assert (await watched.read()).status == NOT_SERVING
        assert (await unknown.read()).status == UNKNOWN
        ready = True
        assert (await watched.read()).status == SERVING
        draining = asyncio.create_task(served.listener.drain(60))
        assert (await watched.read()).status == NOT_SERVING
        assert await watched.read() is grpc.aio.EOF
        assert await unknown.read() is grpc.aio.EOF  # it got nothing in between
        await draining

    behind(use, is_ready=lambda: ready)


def test_reflection_tells_services_and_their_files():
    async def asked(**more: Any) -> AsyncIterator[Any]:
        yield reflection_pb2.ServerReflectionRequest(**more)

    async def use(served: Served, _: StubService) -> None:
        reflect = reflection_pb2_grpc.ServerReflectionStub(served.client.channel).ServerReflectionInfo
        (listed,) = [answer async for answer in reflect(asked(list_services=""))]
        names = {service.name for service in listed.list_services_response.service}
        assert names == {SERVICE, REWARDS, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
        for name in names:
            (found,) = [answer async for answer in reflect(asked(file_containing_symbol=name))]
            assert found.file_descriptor_response.file_descriptor_proto, name

    behind(use)


def test_reflection_has_its_newer_name_too():
    async def use(served: Served, _: StubService) -> None:
        assert V1 != V1ALPHA
        asked = reflection_pb2.ServerReflectionRequest(file_by_filename="nothing.proto").SerializeToString()
        call = served.client.channel.stream_stream(f"/{V1}/ServerReflectionInfo")(iter([asked, asked]))
        said = [reflection_pb2.ServerReflectionResponse.FromString(each) async for each in call]
        assert [each.error_response.error_code for each in said] == [5, 5]

    behind(use)


def test_a_message_that_is_too_large_is_refused():
    async def use(served: Served, service: StubService) -> None:
        for size in (100_001, 3_000_000):
            code, sentence, __ = await served.client.failure("ModelInfer", bytes(size))
            assert (code, sentence) == (
                "RESOURCE_EXHAUSTED",
                f"The message is too large: {size} bytes; at most 100000 are taken.",
            )
        assert service.rejected == []
        await served.client.infer(request(rows=12_000))

    behind(use, max_message_bytes=100_000)


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_messages_are_taken_up_to_the_same_size_once_unpacked(compression):
    async def use(served: Served, _: StubService) -> None:
        await served.client.infer(request(rows=10_000), compression=compression)
        code, *_ = await served.client.failure("ModelInfer", bytes(10_000_000), compression=compression)
        assert code == "RESOURCE_EXHAUSTED"

    behind(use, max_message_bytes=100_000)


def test_a_method_that_does_not_exist_is_unimplemented():
    async def use(served: Served, _: StubService) -> None:
        assert (await served.client.failure("Nothing", b""))[0] == "UNIMPLEMENTED"

    behind(use)


def test_many_large_messages_pass_one_connection_and_one_stream():
    """Together they exceed the windows of the connection and of the stream several times."""
    large = request(rows=120_000)  # 960 kB

    async def use(served: Served, _: StubService) -> None:
        for _ in range(20):
            await served.client.infer(large)

        async def sent() -> AsyncIterator[bytes]:
            for _ in range(20):
                yield large.SerializeToString()

        call = served.client.channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")(sent())
        assert [len(answer) > 100_000 async for answer in call] == [True] * 20

    behind(use, max_message_bytes=1_000_000)


def test_a_long_queue_of_messages_is_answered_in_order():
    async def use(served: Served, _: StubService) -> None:
        async def sent() -> AsyncIterator[bytes]:
            for _ in range(3000):
                yield MESSAGE

        call = served.client.channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")(sent())
        assert len([answer async for answer in call]) == 3000

    behind(use)


def test_draining_waits_for_calls_in_hand_and_takes_no_more_connections():
    async def use(served: Served, service: StubService) -> None:
        service.hangs = True
        call = asyncio.ensure_future(served.client.call("ModelInfer", MESSAGE))
        await service.waiting.wait()
        draining = asyncio.create_task(served.listener.drain(PATIENCE_S))
        await asyncio.sleep(0)
        assert not served.listener.is_listening()
        async with channel_to(served.port) as other:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await other.unary_unary(f"/{SERVICE}/ModelInfer")(MESSAGE)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert not call.done()
        service.go_on()
        assert await call
        await draining

    behind(use)


def test_draining_cancels_what_takes_too_long():
    async def use(served: Served, service: StubService) -> None:
        service.hangs = True
        call = asyncio.ensure_future(served.client.call("ModelInfer", MESSAGE))
        await service.waiting.wait()
        await served.listener.drain(0)
        await service.left.wait()
        with pytest.raises(grpc.aio.AioRpcError):
            await call

    behind(use)


def test_draining_ends_at_once_without_connections():
    async def run() -> None:
        listener = GrpcServer(
            {}, lambda: True, EndOfTurn(), limits=limits_of(1000), budget=BodyBudget(1000), offload=Offload()
        )
        await listener.start(bind_port("127.0.0.1", 0))
        await asyncio.wait_for(listener.drain(10 * PATIENCE_S), PATIENCE_S)
        await listener.drain(10 * PATIENCE_S)

    asyncio.run(run())


def test_no_call_is_lost_while_one_of_two_replicas_drains():
    lost: list[Exception] = []
    answered: Counter[int] = Counter()

    async def call_on(client: Client, caller: int) -> None:
        while True:
            try:
                await client.infer(request())
                answered[caller] += 1
            except grpc.aio.AioRpcError as error:
                lost.append(error)

    async def use(first: Served, first_service: StubService) -> None:
        second_service, clients = StubService(), list[Client]()
        async with (
            contextlib.AsyncExitStack() as stack,
            serving(methods_of(second_service), port=first.port),
        ):
            # The kernel chooses the replica of a connection. Both need some.
            while len(clients) < 6 or not (first_service.calls and second_service.calls):
                clients.append(Client(await stack.enter_async_context(channel_to(first.port))))
                await clients[-1].infer(request())
            calling = [
                asyncio.create_task(call_on(client, 2 * i + k)) for i, client in enumerate(clients) for k in (0, 1)
            ]
            await wait_until_async(lambda: len(answered) == len(calling))
            await first.listener.drain(60)  # ends when the clients have closed their connections
            answered.clear()
            await wait_until_async(lambda: len(answered) == len(calling) and min(answered.values()) > 1)
            for task in calling:
                task.cancel()
            await asyncio.wait(calling)

    behind(use)
    assert lost == []


def test_what_only_grpc_speaks_is_told_in_words_of_http():
    async def use(served: Served, _: StubService) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await reader.read()).endswith(b"\0\0\0\0\0\0\0\1")  # a GOAWAY: PROTOCOL_ERROR
        writer.close()
        await served.client.infer(request())

    behind(use)


def test_tritonclient_works_beside_us_in_one_process():
    async def use(served: Served, _: StubService) -> None:
        async with InferenceServerClient(f"127.0.0.1:{served.port}") as triton:
            tensor = InferInput("X", [2, 2], "FP32")
            tensor.set_data_from_numpy(np.zeros((2, 2), np.float32))
            got = await triton.infer("r", [tensor], request_id="i", timeout=1_000_000, priority=1)
            assert got.as_numpy("label").tolist() == [1, 1]
            assert got.as_numpy("scores").tolist() == [[1.0], [1.0]]
            assert got.get_response().id == "i"

    behind(use)
