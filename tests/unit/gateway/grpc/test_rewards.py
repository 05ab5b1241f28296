"""`pointsman.Rewards` hands messages on, with the routes that the caller's key may reward."""

import asyncio
import time
from typing import Any

import grpc
import pytest

from gateway.access.api_keys import make_key
from gateway.access.guard import AccessGuard
from gateway.errors import BadRequest, RewardsNotCounted
from gateway.eventloop.body_budget import BodyBudget
from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.eventloop.offload import Offload
from gateway.grpc.rewards import SERVICE, GrpcRewards
from gateway.grpc.server import GrpcServer
from gateway.replica.ports import bind_port
from tests.unit.gateway.grpc.support import channel_to, limits_of


class Sent:
    """What is sent on, and what comes of it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, bytes, Any]] = []
        self.answer: bytes | Exception = b"answer"

    async def __call__(self, protocol: str, body: bytes, routes: Any) -> bytes:
        self.calls.append((protocol, body, routes))
        await asyncio.sleep(0.001)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def call(sent: Sent, content: bytes, scopes: tuple[str, ...] | None = None) -> bytes:
    """Return the response to one call, with a new key of these scopes, or without access control."""
    guard, metadata = None, []
    if scopes is not None:
        guard = AccessGuard()
        key, shown = make_key("ci", scopes, created_by="ada", now_s=time.time())
        guard.replace_keys([key])
        metadata.append(("x-api-key", shown))

    async def run() -> bytes:
        listener = GrpcServer(
            {},
            lambda: True,
            EndOfTurn(),
            limits=limits_of(8_000_000),
            budget=BodyBudget(1 << 30),
            offload=Offload(),
            rewards=GrpcRewards(sent, guard).methods(),
        )
        bound = bind_port("127.0.0.1", 0)
        await listener.start(bound)
        try:
            async with channel_to(bound.getsockname()[1]) as channel:
                return await channel.unary_unary(f"/{SERVICE}/Send")(content, metadata=metadata)
        finally:
            await listener.drain(0)

    return asyncio.run(asyncio.wait_for(run(), 120))


def status_of(error: pytest.ExceptionInfo[grpc.aio.AioRpcError]) -> tuple[str, str]:
    return error.value.code().name, error.value.details() or ""


@pytest.mark.parametrize("content", [b"anything", bytes(1_000_000)], ids=["small", "large"])
def test_the_message_is_sent_on_as_it_is_and_the_answer_comes_back(content):
    sent = Sent()
    assert call(sent, content) == b"answer"
    assert sent.calls == [("grpc", content, None)]


def test_the_routes_of_the_key_go_with_it():
    sent = Sent()
    call(sent, b"", ("reward",))
    call(sent, b"", ("reward:fraud", "read"))
    assert [each[2] for each in sent.calls] == [None, frozenset({"fraud"})]
    with pytest.raises(grpc.aio.AioRpcError) as error:
        call(sent, b"", ("predict", "read", "operate"))
    assert status_of(error)[0] == "PERMISSION_DENIED"
    assert len(sent.calls) == 2


@pytest.mark.parametrize(
    ("raised", "status"), [(BadRequest("No list."), "INVALID_ARGUMENT"), (RewardsNotCounted("Again."), "UNAVAILABLE")]
)
def test_an_error_is_the_status_of_the_call(raised, status):
    sent = Sent()
    sent.answer = raised
    with pytest.raises(grpc.aio.AioRpcError) as error:
        call(sent, b"")
    assert status_of(error) == (status, str(raised))


def test_a_message_that_is_too_large_is_refused_before_it_is_read():
    sent = Sent()
    with pytest.raises(grpc.aio.AioRpcError) as error:
        call(sent, bytes(5_000_000))
    assert status_of(error)[0] == "RESOURCE_EXHAUSTED"
    assert sent.calls == []
