"""What a client may make a connection hold, and how connections end."""

from h2.events import ConnectionTerminated, StreamReset
from h2.settings import SettingCodes

from gateway.grpc.http2.flood_guard import BURST
from gateway.grpc.http2.frames import MAX_WINDOW, ErrorCode, FrameType, frame, word
from gateway.grpc.http2.limits import MAX_STREAMS
from tests.unit.gateway.grpc.http2.support import (
    HELLO,
    Peer,
    Response,
    call_headers,
    conversation,
    frames_of,
    headers,
    message,
    response_in,
    whole_call,
)


def goaways(content: bytes) -> list[tuple[int, int]]:
    """Return the last stream and the error code of each GOAWAY."""
    ends = [each.payload for each in frames_of(content) if each.kind == FrameType.GOAWAY]
    return [(word.unpack(end[:4])[0], word.unpack(end[4:8])[0]) for end in ends]


def test_the_number_of_open_streams_is_limited():
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO + b"".join(call_headers(2 * each + 1) for each in range(MAX_STREAMS)))
        one_more = 2 * MAX_STREAMS + 1
        (refusal,) = frames_of(await peer.send(whole_call(one_more)))
        assert (refusal.kind, refusal.stream, refusal.payload) == (FrameType.RST_STREAM, one_more, word.pack(7))
        await peer.send(frame(FrameType.RST_STREAM, 0, 1, word.pack(8)) + whole_call(one_more + 2))
        assert len(peer.http2.streams) == MAX_STREAMS
        assert peer.requests == [b"%d" % (one_more + 2)]

    conversation(talk)


def test_a_reset_cancels_the_call_and_nothing_is_sent():
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO + whole_call(1) + whole_call(3))
        assert await peer.send(frame(FrameType.RST_STREAM, 0, 1, word.pack(8))) == b""
        assert peer.cancelled == [b"1"]
        peer.pending[b"1"].succeed(b"late")
        assert await peer.read() == b""
        peer.pending[b"3"].succeed(b"well")
        assert b"well" in await peer.read()

    conversation(talk)


def test_a_client_that_only_opens_and_resets_is_disconnected():
    async def talk(peer: Peer) -> None:
        received = await peer.send(HELLO)
        for number in range(1, 2 * BURST + 3, 2):
            assert goaways(received) == []
            received = await peer.send(whole_call(number) + frame(FrameType.RST_STREAM, 0, number, word.pack(8)))
        assert goaways(received) == [(2 * BURST + 1, ErrorCode.ENHANCE_YOUR_CALM)]
        assert len(peer.cancelled) == BURST + 1

    conversation(talk)


def test_a_client_that_makes_us_reset_is_disconnected_too():
    async def talk(peer: Peer) -> None:
        received = await peer.send(HELLO)
        for number in range(1, 2 * BURST + 3, 2):
            assert goaways(received) == []
            received = await peer.send(whole_call(number) + frame(FrameType.WINDOW_UPDATE, 0, number, bytes(4)))
        assert [code for _, code in goaways(received)] == [ErrorCode.ENHANCE_YOUR_CALM]

    conversation(talk)


def test_a_client_that_resets_now_and_then_stays_connected():
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO)
        for number in range(1, 8 * BURST, 4):
            peer.now_s += 1 / 30
            reset = whole_call(number) + frame(FrameType.RST_STREAM, 0, number, word.pack(8))
            assert goaways(await peer.send(reset + whole_call(number + 2, b"/echo"))) == []

    conversation(talk)


def test_calls_that_are_answered_do_not_pay_for_resets():
    async def talk(peer: Peer) -> None:
        received = await peer.send(HELLO)
        for number in range(1, 4 * BURST + 5, 4):
            assert goaways(received) == []
            reset = whole_call(number) + frame(FrameType.RST_STREAM, 0, number, word.pack(8))
            received = await peer.send(reset + whole_call(number + 2, b"/nope"))
        assert [code for _, code in goaways(received)] == [ErrorCode.ENHANCE_YOUR_CALM]

    conversation(talk)


def test_a_client_that_does_not_read_is_not_read_from():
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO + call_headers(1, b"/echoes"))
        peer.http2.pause_writing()
        assert not peer.wire.is_read
        messages = b"".join(message(b"%d" % each) for each in range(1000))
        assert await peer.send(frame(FrameType.DATA, 1, 1, messages)) == b""
        assert peer.requests == []  # the messages that had arrived are kept as bytes
        peer.http2.resume_writing()
        received = await peer.read()
        assert peer.wire.is_read
        assert b"grpc-status" not in received
        while b"grpc-status" not in received:
            received += await peer.read()
        assert len(peer.requests) == 1000
        peer.http2.pause_writing()
        peer.connection.end()
        assert peer.wire.is_aborted

    conversation(talk)


def test_a_client_that_takes_no_responses_has_no_more_messages_handled():
    async def talk(peer: Peer) -> None:
        window = frame(FrameType.SETTINGS, 0, 0, bytes.fromhex("000400000000"))
        await peer.send(HELLO + window + call_headers(1, b"/echoes"))
        messages = b"".join(message(b"%d" % each) for each in range(1000))
        await peer.send(frame(FrameType.DATA, 0, 1, messages))
        await peer.send(frame(FrameType.DATA, 0, 1, messages))
        assert peer.requests == [b"0"]
        await peer.send(frame(FrameType.WINDOW_UPDATE, 0, 1, word.pack(12)))
        assert peer.requests == [b"0", b"1", b"2"]

    conversation(talk)


def test_draining_announces_first_and_refuses_later():
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO + whole_call(1))
        peer.connection.drain()
        peer.connection.drain()
        assert goaways(await peer.read()) == [(MAX_WINDOW, 0)]
        await peer.send(whole_call(3))
        peer.connection.end_when_idle()
        assert goaways(await peer.read()) == [(3, 0)]
        (refusal,) = frames_of(await peer.send(whole_call(5, b"/echo")))
        assert (refusal.kind, refusal.payload) == (FrameType.RST_STREAM, word.pack(ErrorCode.REFUSED_STREAM))
        peer.pending[b"1"].succeed(b"one")
        assert b"one" in await peer.read()
        assert not peer.wire.is_closed
        peer.pending[b"3"].succeed(b"three")
        received = await peer.read()
        assert b"three" in received
        assert goaways(received) == [(3, 0)]  # never above an earlier GOAWAY
        assert peer.wire.is_closed

    conversation(talk)


def test_draining_ends_an_idle_connection_and_one_whose_last_call_is_reset():
    async def talk_idle(peer: Peer) -> None:
        await peer.send(HELLO)
        peer.connection.drain()
        peer.connection.end_when_idle()
        assert peer.wire.is_closed

    async def talk_reset(peer: Peer) -> None:
        await peer.send(HELLO + whole_call(1))
        peer.connection.drain()
        peer.connection.end_when_idle()
        await peer.send(frame(FrameType.RST_STREAM, 0, 1, word.pack(8)))
        assert peer.wire.is_closed

    conversation(talk_idle)
    conversation(talk_reset)


def test_responses_after_the_end_are_dropped():
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO + whole_call(1) + whole_call(3, b"/waits"))
        peer.connection.end()
        peer.connection.end()
        assert goaways(await peer.read()) == [(3, 0)]
        for pending in peer.pending.values():
            pending.succeed(b"late")
        assert await peer.read() == b""

    conversation(talk)


def test_the_reference_client_cancels_one_call_and_keeps_another_while_draining():
    async def talk(peer: Peer) -> None:
        await peer.open()
        stream = peer.call(message(b"x"), "/wait")
        await peer.exchange()
        peer.client.reset_stream(stream, 8)
        await peer.exchange()
        assert peer.cancelled == [b"x"]
        other = peer.call(message(b"y"), "/wait")
        await peer.exchange()
        peer.connection.drain()
        peer.connection.end_when_idle()
        events = await peer.receive()
        assert [event.last_stream_id for event in events if isinstance(event, ConnectionTerminated)]
        assert not any(isinstance(event, StreamReset) for event in events)
        assert response_in(events, other) == Response(b"", None, "", is_ended=False, reset=None)

    conversation(talk)


def test_a_client_may_keep_no_table_of_our_headers():
    async def talk(peer: Peer) -> None:
        await peer.open({SettingCodes.HEADER_TABLE_SIZE: 0})
        for _ in range(2):
            stream = peer.call(message(b"x"))
            assert response_in(await peer.exchange(), stream).status == "0"  # h2 raises if it must keep one

    conversation(talk)


def test_headers_of_a_reference_client_may_be_anything():
    async def talk(peer: Peer) -> None:
        await peer.open()
        stream = peer.client.get_next_available_stream_id()
        given = [(name.encode(), value.encode()) for name, value in headers()]
        given[2] = (b":path", b"/\xff\xfe")
        peer.client.send_headers(stream, [*given, (b"x", b"\xff"), (b"grpc-timeout", b"\xff")], end_stream=True)
        got = response_in(await peer.exchange(), stream)
        assert (got.status, got.sentence[:22]) == ("12", "There is no method /%E")
        assert (await peer.send(frame(FrameType.PING, 0, 0, bytes(8))))[3] == FrameType.PING

    conversation(talk)
