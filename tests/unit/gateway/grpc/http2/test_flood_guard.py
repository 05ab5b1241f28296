"""Frames without a use end the connection when there are too many, and those that real clients send do not."""

import pytest

from gateway.grpc.http2.flood_guard import BURST, PER_DATA_FRAME, PER_SECOND
from gateway.grpc.http2.frames import ErrorCode, FrameType, frame, word
from gateway.grpc.http2.headers import field
from tests.unit.gateway.grpc.http2.support import BLOCK, HELLO, Peer, call_headers, conversation, frames_of, whole_call

RESET = frame(FrameType.RST_STREAM, 0, 1, word.pack(8))
UPDATE = frame(FrameType.WINDOW_UPDATE, 0, 1, word.pack(1))
FLOODS = {
    "ping": (b"", frame(FrameType.PING, 0, 0, bytes(8))),
    "ping acknowledged": (b"", frame(FrameType.PING, 1, 0, bytes(8))),
    "settings": (b"", frame(FrameType.SETTINGS, 0, 0)),
    "settings acknowledged": (b"", frame(FrameType.SETTINGS, 1, 0)),
    "priority": (b"", frame(FrameType.PRIORITY, 0, 1, bytes(5))),
    "goaway": (b"", frame(FrameType.GOAWAY, 0, 0, bytes(8))),
    "unknown": (b"", bytes.fromhex("000001ee0000000000") + b"x"),
    "empty data": (call_headers(1), frame(FrameType.DATA, 0, 1)),
    "padding": (call_headers(1), frame(FrameType.DATA, 8, 1, b"\xff" + bytes(255))),
    "update of a stream": (call_headers(1), UPDATE),
    "update of the connection": (b"", frame(FrameType.WINDOW_UPDATE, 0, 0, word.pack(1))),
    "update of a closed stream": (call_headers(1) + RESET, UPDATE),
    "reset of a closed stream": (call_headers(1) + RESET, RESET),
    "data for a closed stream": (call_headers(1) + RESET, frame(FrameType.DATA, 0, 1, b"x")),
    "data for a stream that we reset": (call_headers(1, b"/nope"), frame(FrameType.DATA, 0, 1, b"x")),
    "headers of a closed stream": (call_headers(1) + RESET, frame(FrameType.HEADERS, 5, 1, BLOCK)),
    "trailers of a stream that we reset": (call_headers(1, b"/nope"), frame(FrameType.HEADERS, 5, 1, BLOCK)),
}


def codes(content: bytes) -> list[int]:
    return [word.unpack(each.payload[4:8])[0] for each in frames_of(content) if each.kind == FrameType.GOAWAY]


@pytest.mark.parametrize(("prelude", "useless"), FLOODS.values(), ids=FLOODS)
def test_a_flood_ends_the_connection(prelude, useless):
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO + prelude)
        for _ in range(BURST // 100 - 1):
            assert codes(await peer.send(useless * 100)) == []
        assert codes(await peer.send(useless * 105)) == [ErrorCode.ENHANCE_YOUR_CALM]
        assert peer.wire.is_closed

    conversation(talk)


@pytest.mark.parametrize("block", [BLOCK + field(b"A", b"b"), field(b"a", b"b")], ids=["malformed", "no request"])
def test_malformed_requests_end_the_connection_when_there_are_too_many(block):
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO)
        requests = [frame(FrameType.HEADERS, 5, 2 * each + 1, block) for each in range(BURST + 1)]
        assert codes(await peer.send(b"".join(requests[:BURST]))) == []
        assert codes(await peer.send(requests[BURST])) == [ErrorCode.ENHANCE_YOUR_CALM]

    conversation(talk)


def test_requests_above_the_number_of_streams_end_the_connection_when_there_are_too_many():
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO)
        received = await peer.send(b"".join(call_headers(2 * each + 1) for each in range(BURST + 200)))
        assert codes(received) == [ErrorCode.ENHANCE_YOUR_CALM]

    conversation(talk)


def test_calls_that_are_reset_after_their_response_are_resets_too():
    async def talk(peer: Peer) -> None:
        received = await peer.send(HELLO)
        for number in range(1, 2 * BURST + 3, 2):
            assert codes(received) == []
            received = await peer.send(
                whole_call(number, b"/echo") + frame(FrameType.RST_STREAM, 0, number, word.pack(8))
            )
        assert codes(received) == [ErrorCode.ENHANCE_YOUR_CALM]

    conversation(talk)


def test_the_bucket_fills_up_with_time():
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO)
        ping = FLOODS["ping"][1]
        await peer.send(ping * (BURST - 1))  # the settings are one more
        peer.now_s += 10
        assert codes(await peer.send(ping * int(10 * PER_SECOND))) == []
        assert codes(await peer.send(ping * 2)) == [ErrorCode.ENHANCE_YOUR_CALM]

    conversation(talk)


def test_pings_and_window_updates_for_data_that_was_sent_are_free():
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO)
        for number in range(1, 2 * 2 * BURST, 2):
            update = frame(FrameType.WINDOW_UPDATE, 0, 0, word.pack(10)) + UPDATE + FLOODS["ping"][1]
            assert codes(await peer.send(whole_call(number, b"/echo") + update * (PER_DATA_FRAME // 3))) == []

    conversation(talk)
