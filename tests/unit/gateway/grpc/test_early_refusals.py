"""What a call's headers say is enough to refuse it: its body is not read."""

import gzip

import pytest

from gateway.grpc.http2.frames import ErrorCode, FrameType, frame
from gateway.grpc.http2.limits import STREAM_WINDOW
from tests.unit.gateway.grpc.http2.support import (
    HELLO,
    MAX_MESSAGE_BYTES,
    Peer,
    call_headers,
    conversation,
    frames_of,
    message,
    response_in,
    success,
)

KEY = ("x-api-key", "good")
METHODS = pytest.mark.parametrize("path", ["/guarded", "/guardeds"])
PART = bytes(16_384)


@METHODS
def test_a_call_without_a_key_is_refused_before_its_body(path):
    async def talk(peer: Peer) -> None:
        await peer.open()
        stream = peer.start_call(path)
        got = response_in(await peer.exchange(), stream)
        assert (got.status, got.sentence, got.reset) == ("16", "This needs a key.", 0)
        assert not peer.http2.streams

    conversation(talk)


@METHODS
def test_a_call_with_a_key_is_answered_on_the_connection_of_a_refused_one(path):
    content = bytes(MAX_MESSAGE_BYTES)

    async def talk(peer: Peer) -> None:
        await peer.open()
        served = peer.call(message(b"1"), "/wait")
        peer.call(message(content), path, ends=False)
        keyed = peer.call(message(content), path, KEY)
        events = await peer.exchange()
        assert response_in(events, keyed) == success(message(b"%d" % MAX_MESSAGE_BYTES))
        peer.pending[b"1"].succeed(b"one")
        assert response_in(await peer.receive(), served) == success(message(b"one"))

    conversation(talk)


async def refused(peer: Peer) -> None:
    await peer.send(HELLO + call_headers(1, b"/guarded"))


def test_what_is_on_its_way_when_a_call_is_refused_is_dropped():
    async def talk(peer: Peer) -> None:
        await refused(peer)
        left = peer.budget.left
        sent = await peer.send(b"".join(frame(FrameType.DATA, 0, 1, PART) for _ in range(STREAM_WINDOW // len(PART))))
        assert [each for each in frames_of(sent) if each.kind == FrameType.GOAWAY] == []
        assert (peer.wire.is_closed, peer.budget.left) == (False, left)
        await peer.send(call_headers(3, b"/echo"))
        assert list(peer.http2.streams) == [3]

    conversation(talk)


def test_more_than_the_window_of_a_refused_call_ends_the_connection():
    async def talk(peer: Peer) -> None:
        await refused(peer)
        for _ in range(STREAM_WINDOW // len(PART)):
            await peer.send(frame(FrameType.DATA, 0, 1, PART))
        (goaway,) = frames_of(await peer.send(frame(FrameType.DATA, 0, 1, b"x")))
        assert goaway.kind == FrameType.GOAWAY
        assert goaway.payload[4:] == ErrorCode.FLOW_CONTROL_ERROR.to_bytes(4, "big")
        assert peer.wire.is_closed

    conversation(talk)


@pytest.mark.parametrize("more", [[], [("grpc-encoding", "gzip")]], ids=["plain", "compressed"])
def test_a_method_that_takes_small_messages_refuses_others_early(more):
    async def talk(peer: Peer) -> None:
        await peer.open()
        small = peer.call(message(bytes(1000)), "/small")
        assert response_in(await peer.exchange(), small) == success(message(b"1000"))
        content = message(gzip.compress(bytes(1001)), flag=1) if more else message(bytes(1001))[:5]
        large = peer.call(content, "/small", *more, ends=bool(more))
        events = await peer.exchange()
        while response_in(events, large).status is None:  # a thread works on compressed messages
            events += await peer.receive()
        assert response_in(events, large).status == "8"

    conversation(talk)
