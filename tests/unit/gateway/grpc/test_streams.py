"""Streams of messages and watches, on a connection in memory."""

import pytest

from gateway.grpc.http2.frames import FrameType, frame, word
from tests.unit.gateway.grpc.http2.support import (
    MAX_MESSAGE_BYTES,
    Peer,
    Response,
    conversation,
    frames_of,
    message,
    response_in,
    success,
)


def test_a_long_queue_gets_its_responses_in_order_and_does_not_delay_other_calls():
    parts = [message(b"%d" % number) for number in range(3000)]

    async def talk(peer: Peer) -> None:
        await peer.open()
        stream = peer.call(b"".join(parts), "/echoes")
        events = await peer.exchange()
        assert len(peer.requests) < 100
        lone = peer.call(message(b"lone"))
        events += (quick := await peer.exchange())
        assert response_in(quick, lone) == success(message(b"lone"))
        while not response_in(events, stream).is_ended:
            events += await peer.receive()
        assert response_in(events, stream) == success(b"".join(parts))

    conversation(talk)


def test_a_stream_ends_with_the_response_to_its_last_message():
    async def talk(peer: Peer) -> None:
        await peer.open()
        stream = peer.call(message(b"1") + message(b"2"), "/waits", ends=False)
        await peer.exchange()
        assert peer.requests == [b"1"]
        peer.client.end_stream(stream)
        await peer.exchange()
        peer.pending[b"1"].succeed(b"one")
        assert response_in(await peer.receive(), stream) == Response(
            message(b"one"), None, "", is_ended=False, reset=None
        )
        peer.pending[b"2"].succeed(b"two")
        assert response_in(await peer.receive(), stream) == success(message(b"two"))

    conversation(talk)


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        (message(bytes(MAX_MESSAGE_BYTES + 1))[:9], "8"),
        (message(b"x", flag=1), "13"),
        (b"\0\0", "3"),
        (message(b"fail"), "3"),
    ],
)
def test_a_stream_that_fails_has_the_responses_to_earlier_messages(wrong, status):
    async def talk(peer: Peer) -> None:
        await peer.open()
        stream = peer.call(message(b"1") + wrong, "/echoes")
        events = await peer.exchange()
        events += await peer.receive()
        got = response_in(events, stream)
        assert (got.content, got.status, got.is_ended) == (message(b"1"), status, True)

    conversation(talk)


def test_a_reset_cancels_a_streams_call_and_drops_its_queue():
    async def talk(peer: Peer) -> None:
        await peer.open()
        stream = peer.call(message(b"1") + message(b"2"), "/waits", ends=False)
        await peer.exchange()
        peer.client.reset_stream(stream)
        await peer.exchange()
        assert await peer.read() == b""

    peer = conversation(talk)
    assert (peer.requests, peer.cancelled) == ([b"1"], [b"1"])


def test_a_watch_gets_a_response_when_it_has_changed():
    async def talk(peer: Peer) -> None:
        await peer.open()
        stream, other = peer.call(message(b"!"), "/watch"), peer.call(message(b"x"), "/wait")
        assert response_in(await peer.exchange(), stream).content == message(b"well!")
        peer.connection.renew()
        assert await peer.read() == b""
        peer.health = b"ill"
        peer.connection.renew()
        peer.connection.renew()
        assert response_in(await peer.receive(), stream).content == message(b"ill!")
        peer.connection.drain()
        peer.connection.end_when_idle()
        peer.pending[b"x"].succeed(b"y")
        sent = frames_of(await peer.read())  # h2 reads nothing after a GOAWAY
        assert [(each.kind, each.stream) for each in sent if each.flags & 1] == [(1, stream), (1, other)]
        assert all(b"grpc-status\x010" in each.payload for each in sent if each.flags & 1)
        assert peer.wire.is_closed

    conversation(talk)


def test_a_watch_that_was_reset_gets_nothing():
    async def talk(peer: Peer) -> None:
        await peer.open()
        stream = peer.call(message(b"!"), "/watch")
        await peer.exchange()
        await peer.send(frame(FrameType.RST_STREAM, 0, stream, word.pack(8)))
        peer.health = b"ill"
        peer.connection.renew()
        assert await peer.read() == b""

    conversation(talk)
