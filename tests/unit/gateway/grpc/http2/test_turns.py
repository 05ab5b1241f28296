"""A connection works for a slice of time, and lets others have their turn. Nothing is lost or reordered by that."""

import asyncio
import struct

import pytest

from gateway.grpc.http2.frames import FrameType, frame, word
from gateway.grpc.http2.turns import SLICE_S
from tests.support.polling import wait_until_async
from tests.unit.gateway.grpc.http2.support import (
    HELLO,
    Peer,
    call_headers,
    conversation,
    frames_of,
    message,
    whole_call,
)

PINGS = b"".join(frame(FrameType.PING, 0, 0, struct.pack(">Q", number)) for number in range(500))


def pongs(content: bytes) -> list[int]:
    return [struct.unpack(">Q", each.payload)[0] for each in frames_of(content) if each.kind == FrameType.PING]


def test_a_flood_is_handled_in_slices_and_is_not_read_meanwhile():
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO)
        peer.time_per_look_s = SLICE_S / 10
        peer.http2.data_received(PINGS)
        assert not peer.wire.is_read
        peer.http2.data_received(frame(FrameType.PING, 0, 0, struct.pack(">Q", 500)))  # it was read already
        received, turns = b"", 0
        while len(pongs(received)) < 501:
            await asyncio.sleep(0)
            assert len(pongs(peer.wire.written)) <= 24  # of two slices
            received += peer.wire.take()
            turns += 1
        assert turns > 40
        assert pongs(received) == list(range(501))
        await peer.read()
        assert peer.wire.is_read

    conversation(talk)


def test_many_reads_in_one_turn_share_a_slice():
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO)
        peer.now_s += 1
        peer.time_per_look_s = SLICE_S / 100
        for number in range(400):
            peer.http2.data_received(frame(FrameType.PING, 0, 0, struct.pack(">Q", number)))
        assert not peer.wire.is_read
        peer.time_per_look_s = 0
        assert pongs(await peer.read()) == list(range(400))

    conversation(talk)


def test_what_waits_for_a_turn_is_dropped_when_the_client_is_gone_or_at_fault():
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO)
        peer.time_per_look_s = SLICE_S
        await peer.send(frame(FrameType.PING, 0, 1, bytes(8)) + whole_call(1))
        assert peer.wire.is_closed
        assert peer.requests == []

    async def talk_and_leave(peer: Peer) -> None:
        await peer.send(HELLO)
        peer.time_per_look_s = SLICE_S
        peer.http2.data_received(PINGS + whole_call(1))
        peer.http2.connection_lost(None)
        peer.http2 = Peer().http2
        peer.http2.connection_made(peer.wire)
        await asyncio.sleep(0.01)
        assert peer.requests == []

    conversation(talk)
    conversation(talk_and_leave)


def test_a_client_whose_bytes_wait_is_read_for_a_moment_after_the_end():
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO)
        peer.time_per_look_s = SLICE_S / 10
        received = await peer.send(PINGS + frame(FrameType.PING, 0, 1, bytes(8)))  # a reset would lose the GOAWAY
        while not any(each.kind == FrameType.GOAWAY for each in frames_of(received)):
            received += await peer.read()
        assert peer.wire.is_read
        assert not peer.wire.is_closed
        await wait_until_async(lambda: peer.wire.is_closed)

    conversation(talk)


def test_frames_that_wait_go_on_when_the_client_reads_again():
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO)
        peer.time_per_look_s = SLICE_S / 10
        peer.http2.data_received(PINGS)
        peer.http2.pause_writing()
        received = await peer.read()
        assert len(pongs(received)) < 24
        assert await peer.read() == b""
        peer.http2.resume_writing()
        while len(pongs(received)) < 500:
            received += await peer.read()
        assert pongs(received) == list(range(500))

    conversation(talk)


def test_a_streams_messages_and_the_frames_behind_them_take_turns():
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO)
        peer.time_per_look_s = SLICE_S / 4
        await peer.send(call_headers(1, b"/echoes") + frame(FrameType.DATA, 0, 1, message(b"x") * 1000))
        handled = len(peer.requests)
        received = await peer.send(PINGS[: 17 * 40])
        while len(pongs(received)) < 40:
            received += await peer.read()
        assert handled < len(peer.requests) < 1000

    conversation(talk)


@pytest.mark.parametrize("stream", [0, 127])
def test_window_updates_send_once_a_turn_what_they_allow_together(stream):
    async def talk(peer: Peer) -> None:
        window = frame(FrameType.SETTINGS, 0, 0, bytes.fromhex("000400000000"))
        await peer.send(HELLO + window + b"".join(whole_call(2 * each + 1, b"/echo") for each in range(128)))
        if stream == 0:
            await peer.send(
                b"".join(frame(FrameType.WINDOW_UPDATE, 0, 2 * each + 1, word.pack(1)) for each in range(100))
            )
            assert len(peer.http2.streams) == 128
        updates = frame(FrameType.WINDOW_UPDATE, 0, stream, word.pack(1)) * 500
        sent = [each for each in frames_of(await peer.send(updates)) if each.kind == FrameType.DATA]
        assert len(sent) == (1 if stream else 0)

    conversation(talk)


def test_streams_share_a_window_fairly():
    async def talk(peer: Peer) -> None:
        wide = frame(FrameType.SETTINGS, 0, 0, bytes.fromhex("000401000000"))
        large = [
            call_headers(number, b"/wait") + frame(FrameType.DATA, 1, number, message(b"%d" % number))
            for number in (1, 3, 5)
        ]
        await peer.send(HELLO + wide + b"".join(large))
        for pending in peer.pending.values():
            pending.succeed(bytes(1_000_000))
        await peer.read()
        received = b""
        for _ in range(10):
            received += await peer.send(frame(FrameType.WINDOW_UPDATE, 0, 0, word.pack(90_000)))
        sent = dict.fromkeys((1, 3, 5), 0)
        for each in frames_of(received):
            if each.kind == FrameType.DATA:
                sent[each.stream] += len(each.payload)
        assert sum(sent.values()) == 900_000
        assert max(sent.values()) - min(sent.values()) <= 2 * 65_536

    conversation(talk)


def test_a_connection_that_ends_within_a_flood_reads_on_but_not_for_ever():
    async def talk(peer: Peer) -> None:
        await peer.open()
        peer.time_per_look_s = SLICE_S  # each frame takes a slice
        peer.http2.data_received(frame(FrameType.PING, 0, 0, bytes(8)) * 10)
        assert not peer.wire.is_read
        peer.connection.end()
        for _ in range(4):
            assert (peer.wire.is_read, peer.wire.is_closed) == (True, False)
            peer.http2.data_received(bytes(65_536))
        peer.http2.data_received(b"x")
        assert not peer.wire.is_read

    conversation(talk)
