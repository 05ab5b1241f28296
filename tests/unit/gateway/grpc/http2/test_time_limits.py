"""What a client keeps waiting for too long ends. The clock is the test's."""

from gateway.grpc.http2.frames import PREFACE, ErrorCode, FrameType, frame, word
from tests.unit.gateway.grpc.http2.support import (
    HELLO,
    SETTINGS,
    Peer,
    call_headers,
    conversation,
    frames_of,
    message,
    whole_call,
)

NO_WINDOW = frame(FrameType.SETTINGS, 0, 0, bytes.fromhex("000400000000"))


async def after(peer: Peer, seconds: float) -> bytes:
    """Let time pass, with a look each second. Return what the server sends."""
    for _ in range(round(seconds)):
        peer.now_s += 1
        peer.http2.look(peer.now_s)
    return await peer.read()


def goaways(content: bytes) -> list[int]:
    return [word.unpack(each.payload[4:8])[0] for each in frames_of(content) if each.kind == FrameType.GOAWAY]


def test_a_client_that_says_nothing_or_half_of_its_hello_is_disconnected():
    for begun in (b"", PREFACE[:10], PREFACE, PREFACE + SETTINGS[:5]):

        async def talk(peer: Peer, begun: bytes = begun) -> None:
            await peer.send(begun)
            assert goaways(await after(peer, 10)) == []
            assert goaways(await after(peer, 1)) == [ErrorCode.PROTOCOL_ERROR]
            assert peer.wire.is_closed

        conversation(talk)


def test_a_connection_without_calls_is_ended_in_order_pings_or_not():
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO)
        await after(peer, 200)
        await peer.send(whole_call(1, b"/echo"))
        await after(peer, 250)
        assert goaways(await peer.send(frame(FrameType.PING, 0, 0, bytes(8)))) == []
        assert goaways(await after(peer, 52)) == [ErrorCode.NO_ERROR]
        assert not peer.wire.is_closed
        assert goaways(await after(peer, 1)) == [ErrorCode.NO_ERROR]
        assert peer.wire.is_closed

    conversation(talk)


def test_a_connection_with_an_open_call_is_not_idle():
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO + whole_call(1) + whole_call(3, b"/watch"))
        assert await after(peer, 1000) == b""
        peer.pending[b"1"].succeed(b"late")
        assert b"late" in await peer.read()

    conversation(talk)


def test_a_request_that_does_not_go_on_ends_alone():
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO + call_headers(1, b"/echo") + call_headers(3, b"/echoes") + call_headers(5, b"/echo"))
        await after(peer, 50)
        await peer.send(frame(FrameType.DATA, 0, 1, b"\0\0") + frame(FrameType.DATA, 0, 3, message(b"x")))
        assert {each.stream for each in frames_of(await after(peer, 11))} == {5}
        assert set(peer.http2.streams) == {1, 3}
        sent = frames_of(await after(peer, 50))
        assert [(each.kind, each.stream) for each in sent if each.stream == 1] == [(1, 1), (3, 1)]
        assert any(b"grpc-status\x014" in each.payload for each in sent)
        assert not peer.wire.is_closed

    conversation(talk)


def test_a_request_that_waits_for_our_window_is_not_stalled():
    async def talk(peer: Peer) -> None:
        messages = message(bytes(60_000))
        await peer.send(HELLO + call_headers(1, b"/waits") + frame(FrameType.DATA, 0, 1, messages))
        await peer.send(frame(FrameType.DATA, 0, 1, messages))
        await after(peer, 100)
        assert 1 in peer.http2.streams

    conversation(talk)


def test_a_client_that_takes_no_response_is_disconnected():
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO + NO_WINDOW + whole_call(1, b"/echo"))
        assert goaways(await after(peer, 60)) == []
        assert goaways(await after(peer, 1)) == [ErrorCode.ENHANCE_YOUR_CALM]

    conversation(talk)


def test_one_response_that_is_not_taken_ends_alone():
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO + NO_WINDOW + whole_call(1, b"/echo") + whole_call(3, b"/echo"))
        await after(peer, 50)
        await peer.send(frame(FrameType.WINDOW_UPDATE, 0, 3, word.pack(1)))
        reset, *more = frames_of(await after(peer, 11))
        assert (reset.kind, reset.stream, more) == (FrameType.RST_STREAM, 1, [])

    conversation(talk)


def test_a_client_that_does_not_read_is_disconnected_but_not_one_that_reads_slowly():
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO + whole_call(1))
        peer.http2.pause_writing()
        for size in range(20, 0, -1):
            peer.wire.unsent_bytes = size
            await after(peer, 50)
            assert not peer.wire.is_closed
        await after(peer, 12)
        assert peer.wire.is_aborted

    conversation(talk)


def test_a_connection_that_was_ended_is_not_kept_for_a_client_that_does_not_read():
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO)
        peer.wire.unsent_bytes = 7
        peer.connection.end()
        await after(peer, 60)
        assert not peer.wire.is_aborted
        await after(peer, 1)
        assert peer.wire.is_aborted

    conversation(talk)


def test_an_old_connection_ends_behind_the_responses_that_are_due():
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO + whole_call(1, b"/watch") + whole_call(3))
        assert goaways(await after(peer, 100)) == []
        assert goaways(await after(peer, 1)) == [ErrorCode.NO_ERROR]
        answered = await peer.send(whole_call(5, b"/echo"))  # was on its way when the client was told
        assert {1, 5} & {each.stream for each in frames_of(answered)} == {5}
        ended = await after(peer, 1)
        assert goaways(ended) == [ErrorCode.NO_ERROR]
        assert 1 in {each.stream for each in frames_of(ended)}
        assert not peer.wire.is_closed
        peer.pending[b"3"].succeed(b"late")
        assert b"late" in await peer.read()
        assert peer.wire.is_closed

    conversation(talk, life_s=100.0)
