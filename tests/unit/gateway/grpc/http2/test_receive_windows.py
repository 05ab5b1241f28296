"""What one connection, and all of them, may hold of unfinished requests."""

import pytest

from gateway.grpc.http2.frames import DEFAULT_WINDOW, ErrorCode, FrameType, frame, word
from gateway.grpc.http2.limits import MAX_STREAMS, RETURN_BYTES, STREAM_WINDOW
from tests.unit.gateway.grpc.http2.support import (
    HELLO,
    MAX_MESSAGE_BYTES,
    Peer,
    Sent,
    call_headers,
    conversation,
    frames_of,
    message,
    response_in,
    success,
)

LARGE = 1_000_000
BEGUN = b"\0" + LARGE.to_bytes(4, "big")
MOST_HELD = MAX_STREAMS * STREAM_WINDOW + 5 + LARGE + RETURN_BYTES


def windows(sent: list[Sent]) -> dict[int, int]:
    """Return by how much the windows of streams were widened, and that of the connection, which is 0."""
    found: dict[int, int] = {}
    for each in sent:
        if each.kind == FrameType.WINDOW_UPDATE:
            found[each.stream] = found.get(each.stream, 0) + word.unpack(each.payload)[0]
    return found


def test_a_connection_holds_no_more_than_its_window():
    async def talk(peer: Peer) -> None:
        allowed = DEFAULT_WINDOW + windows(frames_of(await peer.send(HELLO)))[0]
        assert allowed == MOST_HELD
        streams = range(1, 2 * MAX_STREAMS, 2)
        got = windows(frames_of(await peer.send(b"".join(call_headers(each, b"/size") for each in streams))))
        for number in streams:
            got |= windows(frames_of(await peer.send(frame(FrameType.DATA, 0, number, BEGUN))))
        assert got == {1: LARGE + 5 - STREAM_WINDOW}  # the first has all of the reserve, and the others wait
        assert allowed >= sum(got.values()) + MAX_STREAMS * STREAM_WINDOW

    conversation(talk, LARGE)


def test_large_requests_are_let_in_one_after_the_other():
    async def talk(peer: Peer) -> None:
        await peer.open()
        streams = [peer.call(message(bytes(LARGE)), "/size") for _ in range(5)]
        events = await peer.exchange()
        assert [response_in(events, each) for each in streams] == [success(message(b"1000000"))] * 5

    conversation(talk, LARGE)


def test_a_large_request_that_is_reset_makes_room_for_the_next():
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO)
        opened = [call_headers(each, b"/size") + frame(FrameType.DATA, 0, each, BEGUN) for each in (1, 3)]
        await peer.send(b"".join(opened))
        got = windows(frames_of(await peer.send(frame(FrameType.RST_STREAM, 0, 1, word.pack(8)))))
        assert got == {3: LARGE + 5 - STREAM_WINDOW}

    conversation(talk, LARGE)


def test_a_client_that_disregards_the_window_of_a_connection_is_disconnected():
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO + call_headers(1, b"/nope"))
        data = frame(FrameType.DATA, 0, 1, bytes(200_000))
        peer.http2._receiving._left = 100_000
        (*_, last) = frames_of(await peer.send(data))
        assert (last.kind, word.unpack(last.payload[4:])[0]) == (FrameType.GOAWAY, ErrorCode.FLOW_CONTROL_ERROR)

    conversation(talk)


def test_a_padded_request_up_to_the_windows_size_is_let_in():
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO + call_headers(1, b"/size"))
        content, window, sent = message(bytes(60_000)), STREAM_WINDOW, b""
        while content:
            part, content = content[:500], content[500:]
            window -= 756
            assert window >= 0
            sent = await peer.send(frame(FrameType.DATA, 8 | (not content), 1, b"\xff" + part + bytes(255)))
            window += windows(frames_of(sent)).get(1, 0)
        assert message(b"60000") in sent

    conversation(talk)


def test_a_process_that_holds_too_many_bytes_refuses_further_ones():
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO + call_headers(1, b"/size") + call_headers(3, b"/waits") + call_headers(5, b"/echo"))
        body = b"\0" + (70_000).to_bytes(4, "big") + bytes(40_000)
        assert b"grpc-status" not in await peer.send(frame(FrameType.DATA, 0, 1, body))
        await peer.send(frame(FrameType.DATA, 0, 3, message(b"x")))
        ends, reset = frames_of(await peer.send(frame(FrameType.DATA, 0, 3, body)))
        assert b"grpc-status\x018" in ends.payload
        assert (reset.kind, reset.stream, word.unpack(reset.payload)[0]) == (FrameType.RST_STREAM, 3, 0)
        assert peer.cancelled == [b"x"]
        assert b"grpc-status\x010" in await peer.send(frame(FrameType.DATA, 1, 5, message(b"whole" * 2000)))
        await peer.send(frame(FrameType.RST_STREAM, 0, 1, word.pack(8)) + call_headers(7, b"/size"))
        await peer.send(frame(FrameType.DATA, 0, 7, body))
        assert message(b"70000") in await peer.send(frame(FrameType.DATA, 1, 7, bytes(30_000)))

    conversation(talk, MAX_MESSAGE_BYTES, max_unfinished_bytes=50_000)


def test_a_call_with_too_long_headers_is_refused_alone():
    async def talk(peer: Peer) -> None:
        await peer.open()
        other = peer.call(message(b"x"), "/wait")
        large = peer.call(message(b"y"), "/echo", ("x-big", "a" * 20_000))
        got = response_in(await peer.exchange(), large)
        assert (got.status, got.sentence) == ("8", "The call's metadata are too large: at most 16384 bytes are taken.")
        after = peer.call(message(b"z"), "/echo", ("x-small", "a"))
        assert response_in(await peer.exchange(), after) == success(message(b"z"))
        peer.pending[b"x"].succeed(b"well")
        assert response_in(await peer.receive(), other) == success(message(b"well"))

    conversation(talk)


PARTS = pytest.mark.parametrize(
    "opening",
    [bytes.fromhex("040000 00 00 00000001") + bytes(60_000), bytes.fromhex("00ea60 01 00 00000001") + bytes(60_000)],
    ids=["frame", "header block"],
)


@PARTS
def test_a_part_of_a_frame_counts_until_the_connection_ends(opening):
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO)
        left = peer.budget.left
        await peer.send(opening)
        assert left - peer.budget.left >= 60_000

    conversation(talk)


def test_a_frame_that_is_complete_is_counted_once():
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO + call_headers(1))
        left = peer.budget.left
        content = frame(FrameType.DATA, 0, 1, message(bytes(90_000))[:60_000])
        await peer.send(content[:40_000])
        assert left - peer.budget.left == 40_000
        await peer.send(content[40_000:])
        assert left - peer.budget.left == 60_000

    conversation(talk)


@PARTS
def test_parts_of_frames_above_the_budget_end_their_connection(opening):
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO)
        sent = frames_of(await peer.send(opening))
        assert [each.kind for each in sent] == [FrameType.GOAWAY]
        assert sent[0].payload[4:] == ErrorCode.ENHANCE_YOUR_CALM.to_bytes(4, "big")

    conversation(talk, max_unfinished_bytes=50_000)
