"""Calls of one message on a connection in memory."""

import asyncio
import gc
import gzip
import tracemalloc
import weakref
import zlib

import pytest
from h2.events import ResponseReceived

from gateway.grpc.status import failure_of
from tests.unit.gateway.grpc.http2.support import (
    MAX_MESSAGE_BYTES,
    Peer,
    Response,
    conversation,
    message,
    response_in,
    success,
)


def response_to(body: bytes, *more: tuple[str, str], path: str = "/echo", ends: bool = True) -> Response:
    found: list[Response] = []

    async def talk(peer: Peer) -> None:
        await peer.open()
        stream = peer.call(body, path, *more, ends=ends)
        events = await peer.exchange()
        for _ in range(10_000):  # a thread works on compressed messages
            if not any(each.context and each.context.holding for each in peer.http2.streams.values()):
                break
            await asyncio.sleep(0.001)
        found.append(response_in(events + await peer.receive(), stream))

    conversation(talk)
    return found[0]


@pytest.mark.parametrize("content", [b"", b"x", bytes(50_000)])
def test_a_message_gets_one_response(content):
    assert response_to(message(content)) == success(message(content))


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", "3", "no message"),
        (b"\0\0\0", "3", "cut off"),
        (message(b"abc")[:-1], "3", "cut off"),
        (message(b"abc") + message(b""), "3", "there is more"),
        (message(b"abc") + b"x", "3", "there is more"),
        (message(bytes(MAX_MESSAGE_BYTES + 1)), "8", "too large: 100001 bytes; at most 100000"),
        (message(b"fail"), "3", "Failed as asked."),
        (message(b"abc", flag=1), "13", "grpc-encoding"),
        (message(b"abc", flag=2), "13", "grpc-encoding"),
    ],
)
def test_a_body_that_is_not_one_message_fails(body, status, words):
    got = response_to(body)
    assert (got.status, got.is_ended) == (status, True)
    assert words in got.sentence


PACKED = {"gzip": gzip.compress, "deflate": zlib.compress}


@pytest.mark.parametrize("encoding", PACKED)
def test_compressed_messages_are_unpacked(encoding):
    pack, name = PACKED[encoding], ("grpc-encoding", encoding)
    assert response_to(message(pack(b"hello"), flag=1), name) == success(message(b"hello"))
    assert response_to(message(b"hello"), name) == success(message(b"hello"))
    assert response_to(message(b"no zip", flag=1), name).status == "3"
    assert response_to(message(pack(bytes(MAX_MESSAGE_BYTES)), flag=1), name, path="/size") == success(
        message(b"100000")
    )


def test_a_bomb_is_not_unpacked():
    bomb = message(gzip.compress(bytes(50_000_000)), flag=1)
    tracemalloc.start()
    assert response_to(bomb, ("grpc-encoding", "gzip")).status == "8"
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_a_compression_that_is_not_known_is_unimplemented():
    got = response_to(message(b"x", flag=1), ("grpc-encoding", "snappy"))
    assert (got.status, "grpc-accept-encoding" in got.sentence) == ("12", True)


@pytest.mark.parametrize(
    ("body", "status"),
    [(message(bytes(MAX_MESSAGE_BYTES + 1))[:5], "8"), (message(b"a") + b"x", "3")],
    ids=["large", "more"],
)
def test_a_body_that_cannot_become_valid_fails_before_it_ends(body, status):
    got = response_to(body, ends=False)
    assert (got.status, got.reset) == (status, 0)


def test_an_unknown_method_fails_before_its_message():
    got = response_to(b"", path="/nope", ends=False)
    assert (got.status, got.reset) == ("12", 0)
    assert got.sentence == "There is no method /nope; see reflection."


@pytest.mark.parametrize("kind", ["application/json", "application/grpc-web", "application/grpcx", ""])
def test_a_request_that_is_no_call_gets_a_status_of_http(kind):
    async def talk(peer: Peer) -> None:
        await peer.open()
        fields = [(":method", "POST"), (":scheme", "http"), (":path", "/echo"), (":authority", "a")]
        peer.client.send_headers(1, [*fields, ("content-type", kind)])
        (response,) = [event for event in await peer.exchange() if isinstance(event, ResponseReceived)]
        assert response.headers == [(":status", "415")]

    conversation(talk)


@pytest.mark.parametrize("kind", ["application/grpc+proto", "application/grpc;a=b"])
def test_kinds_of_grpc_are_calls(kind):
    async def talk(peer: Peer) -> None:
        await peer.open()
        fields = [(":method", "POST"), (":scheme", "http"), (":path", "/echo"), (":authority", "a")]
        peer.client.send_headers(1, [*fields, ("content-type", kind)])
        peer.client.send_data(1, message(b"x"), end_stream=True)
        assert response_in(await peer.exchange(), 1) == success(message(b"x"))

    conversation(talk)


def test_calls_end_in_the_order_in_which_their_coroutines_do():
    async def talk(peer: Peer) -> None:
        await peer.open()
        one, two = peer.call(message(b"1"), "/wait"), peer.call(message(b"2"), "/wait")
        await peer.exchange()
        peer.pending[b"2"].succeed(b"second")
        assert response_in(await peer.receive(), two) == success(message(b"second"))
        peer.pending[b"1"].fail(ValueError("a bug of ours"))
        got = response_in(await peer.receive(), one)
        assert (got.status, got.sentence) == ("13", "The gateway failed; its log says why.")

    conversation(talk)


def test_a_stream_without_messages_gets_none():
    assert response_to(b"", path="/echoes") == success(b"")


def test_a_coroutine_that_fails_when_cancelled_does_not_stop_other_cancellations(monkeypatch):
    async def talk(peer: Peer) -> None:
        await peer.open()
        streams = [peer.call(message(b"%d" % number), "/wait") for number in range(3)]
        await peer.exchange()
        for stream in streams[:2]:
            monkeypatch.setattr(peer.http2.streams[stream].context.driven, "_work", Stubborn(), raising=False)

    assert conversation(talk).cancelled == [b"2"]


class Stubborn:
    """A coroutine that raises when it is cancelled."""

    def throw(self, _: BaseException) -> None:
        raise ValueError("a bug of ours")


def test_a_sentence_does_not_begin_or_end_in_a_space():
    assert failure_of(ValueError())._replace(sentence=" a\nb ").trailers().endswith(b"\x05a%0Ab")


def test_a_lost_connection_is_freed_without_the_garbage_collector():
    async def talk(peer: Peer) -> None:
        await peer.open()
        peer.call(message(b"x"))
        await peer.exchange()

    peer = conversation(talk)
    freed = [weakref.ref(peer.connection), weakref.ref(peer.http2)]
    gc.disable()
    try:
        del peer.connection, peer.http2
        assert [reference() for reference in freed] == [None, None]
    finally:
        gc.enable()
