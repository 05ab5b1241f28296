"""What a client may take of us, and how connections end."""

from h2.events import ConnectionTerminated, StreamReset
from h2.settings import SettingCodes

from gateway.grpc.http2.connection import MOST_RESETS, MOST_STREAMS
from gateway.grpc.http2.frames import MOST_WINDOW, ErrorCode, FrameType, frame, word
from tests.unit.gateway.grpc.http2.support import (
    HELLO,
    Answer,
    Peer,
    answer_in,
    asked,
    conversation,
    frames_of,
    headers,
    message,
    opened,
)


def goodbyes(content: bytes) -> list[tuple[int, int]]:
    """Of each GOAWAY: the last stream, and the code."""
    ends = [each.payload for each in frames_of(content) if each.kind == FrameType.GOAWAY]
    return [(word.unpack(end[:4])[0], word.unpack(end[4:8])[0]) for end in ends]


def test_only_so_many_streams_are_worked_on_at_a_time():
    async def talk(peer: Peer) -> None:
        await peer.hear(HELLO + b"".join(opened(2 * each + 1) for each in range(MOST_STREAMS)))
        one_more = 2 * MOST_STREAMS + 1
        (refusal,) = frames_of(await peer.hear(asked(one_more)))
        assert (refusal.kind, refusal.stream, refusal.payload) == (FrameType.RST_STREAM, one_more, word.pack(7))
        await peer.hear(frame(FrameType.RST_STREAM, 0, 1, word.pack(8)) + asked(one_more + 2))
        assert len(peer.connection.streams) == MOST_STREAMS
        assert peer.asked == [b"%d" % (one_more + 2)]

    conversation(talk)


def test_a_reset_cancels_the_work_and_nothing_is_answered():
    async def talk(peer: Peer) -> None:
        await peer.hear(HELLO + asked(1) + asked(3))
        assert await peer.hear(frame(FrameType.RST_STREAM, 0, 1, word.pack(8))) == b""
        assert peer.left == [b"1"]
        peer.pending[b"1"].succeed(b"late")
        assert await peer.rest() == b""
        peer.pending[b"3"].succeed(b"well")
        assert b"well" in await peer.rest()

    conversation(talk)


def test_who_only_opens_and_resets_is_sent_away():
    async def talk(peer: Peer) -> None:
        said = await peer.hear(HELLO)
        for number in range(1, 2 * MOST_RESETS + 3, 2):
            assert goodbyes(said) == []
            said = await peer.hear(asked(number) + frame(FrameType.RST_STREAM, 0, number, word.pack(8)))
        assert goodbyes(said) == [(2 * MOST_RESETS + 1, ErrorCode.ENHANCE_YOUR_CALM)]
        assert len(peer.left) == MOST_RESETS + 1

    conversation(talk)


def test_who_makes_us_reset_is_sent_away_too():
    async def talk(peer: Peer) -> None:
        said = await peer.hear(HELLO)
        for number in range(1, 2 * MOST_RESETS + 3, 2):
            assert goodbyes(said) == []
            said = await peer.hear(asked(number) + frame(FrameType.WINDOW_UPDATE, 0, number, bytes(4)))
        assert [code for _, code in goodbyes(said)] == [ErrorCode.ENHANCE_YOUR_CALM]

    conversation(talk)


def test_who_resets_now_and_then_stays():
    async def talk(peer: Peer) -> None:
        await peer.hear(HELLO)
        for number in range(1, 8 * MOST_RESETS, 4):
            reset = asked(number) + frame(FrameType.RST_STREAM, 0, number, word.pack(8))
            assert goodbyes(await peer.hear(reset + asked(number + 2, b"/echo"))) == []

    conversation(talk)


def test_a_client_who_does_not_read_is_not_read_from():
    async def talk(peer: Peer) -> None:
        await peer.hear(HELLO + opened(1, b"/echoes"))
        peer.connection.pause_writing()
        assert not peer.wire.is_read
        messages = b"".join(message(b"%d" % each) for each in range(1000))
        assert await peer.hear(frame(FrameType.DATA, 1, 1, messages)) == b""
        assert peer.asked == []  # what was on its way is kept as it came
        peer.connection.resume_writing()
        assert peer.wire.is_read
        said = await peer.rest()
        assert b"grpc-status" not in said
        while b"grpc-status" not in said:
            said += await peer.rest()
        assert len(peer.asked) == 1000
        peer.connection.pause_writing()
        peer.connection.end(ErrorCode.NO_ERROR)
        assert peer.wire.is_aborted

    conversation(talk)


def test_a_client_who_takes_no_answers_is_asked_for_no_more_messages():
    async def talk(peer: Peer) -> None:
        window = frame(FrameType.SETTINGS, 0, 0, bytes.fromhex("000400000000"))
        await peer.hear(HELLO + window + opened(1, b"/echoes"))
        messages = b"".join(message(b"%d" % each) for each in range(1000))
        await peer.hear(frame(FrameType.DATA, 0, 1, messages))
        await peer.hear(frame(FrameType.DATA, 0, 1, messages))
        assert peer.asked == [b"0"]
        await peer.hear(frame(FrameType.WINDOW_UPDATE, 0, 1, word.pack(12)))
        assert peer.asked == [b"0", b"1", b"2"]

    conversation(talk)


def test_draining_tells_first_and_refuses_later():
    async def talk(peer: Peer) -> None:
        await peer.hear(HELLO + asked(1))
        peer.connection.drain()
        peer.connection.drain()
        assert goodbyes(await peer.rest()) == [(MOST_WINDOW, 0)]
        await peer.hear(asked(3))
        peer.connection.end_when_idle()
        assert goodbyes(await peer.rest()) == [(3, 0)]
        (refusal,) = frames_of(await peer.hear(asked(5, b"/echo")))
        assert (refusal.kind, refusal.payload) == (FrameType.RST_STREAM, word.pack(ErrorCode.REFUSED_STREAM))
        peer.pending[b"1"].succeed(b"one")
        assert b"one" in await peer.rest()
        assert not peer.wire.is_closed
        peer.pending[b"3"].succeed(b"three")
        said = await peer.rest()
        assert b"three" in said
        assert goodbyes(said) == [(3, 0)]  # never more than was promised
        assert peer.wire.is_closed

    conversation(talk)


def test_draining_ends_an_idle_connection_and_one_whose_last_call_is_reset():
    async def talk_idle(peer: Peer) -> None:
        await peer.hear(HELLO)
        peer.connection.drain()
        peer.connection.end_when_idle()
        assert peer.wire.is_closed

    async def talk_reset(peer: Peer) -> None:
        await peer.hear(HELLO + asked(1))
        peer.connection.drain()
        peer.connection.end_when_idle()
        await peer.hear(frame(FrameType.RST_STREAM, 0, 1, word.pack(8)))
        assert peer.wire.is_closed

    conversation(talk_idle)
    conversation(talk_reset)


def test_answers_that_come_after_the_end_are_dropped():
    async def talk(peer: Peer) -> None:
        await peer.hear(HELLO + asked(1) + asked(3, b"/waits"))
        peer.connection.end(ErrorCode.NO_ERROR)
        peer.connection.end(ErrorCode.NO_ERROR)
        assert goodbyes(await peer.rest()) == [(3, 0)]
        for pending in peer.pending.values():
            pending.succeed(b"late")
        assert await peer.rest() == b""

    conversation(talk)


def test_the_reference_client_sees_a_call_cancelled_by_itself_and_one_refused():
    async def talk(peer: Peer) -> None:
        await peer.open()
        stream = peer.ask(message(b"x"), "/wait")
        await peer.say()
        peer.client.reset_stream(stream, 8)
        await peer.say()
        assert peer.left == [b"x"]
        other = peer.ask(message(b"y"), "/wait")
        await peer.say()
        peer.connection.drain()
        peer.connection.end_when_idle()
        events = await peer.listen()
        assert [event.last_stream_id for event in events if isinstance(event, ConnectionTerminated)]
        assert not any(isinstance(event, StreamReset) for event in events)
        assert answer_in(events, other) == Answer(b"", None, "", is_ended=False, reset=None)

    conversation(talk)


def test_a_client_may_keep_no_table_of_our_headers():
    async def talk(peer: Peer) -> None:
        await peer.open({SettingCodes.HEADER_TABLE_SIZE: 0})
        for _ in range(2):
            stream = peer.ask(message(b"x"))
            assert answer_in(await peer.say(), stream).status == "0"  # h2 raises if it must keep one

    conversation(talk)


def test_headers_of_a_reference_client_may_be_anything():
    async def talk(peer: Peer) -> None:
        await peer.open()
        stream = peer.client.get_next_available_stream_id()
        given = [(name.encode(), value.encode()) for name, value in headers()]
        given[2] = (b":path", b"/\xff\xfe")
        peer.client.send_headers(stream, [*given, (b"x", b"\xff"), (b"grpc-timeout", b"\xff")], end_stream=True)
        got = answer_in(await peer.say(), stream)
        assert (got.status, got.sentence[:22]) == ("12", "There is no method /%E")
        assert (await peer.hear(frame(FrameType.PING, 0, 0, bytes(8))))[3] == FrameType.PING

    conversation(talk)
