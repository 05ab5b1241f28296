"""What a client may not do on a connection, and which error code it gets. The frames are made by hand."""

import pytest

from gateway.grpc.http2.frames import MAX_WINDOW, PREFACE, ErrorCode, FrameType, SettingId, frame, setting, word
from gateway.grpc.http2.headers import field
from gateway.grpc.http2.limits import FRAME_BYTES, MAX_BLOCK_BYTES
from tests.unit.gateway.grpc.http2.support import BLOCK, HELLO, SETTINGS, Peer, Sent, conversation, frames_of, message

OPEN = frame(FrameType.HEADERS, 0x4, 1, BLOCK)
WAITING = OPEN.replace(b"/echo", b"/wait") + frame(FrameType.DATA, 1, 1, message(b"x"))
NOTE = b"unharmed"


def frames_after(content: bytes) -> list[Sent]:
    found: list[Sent] = []

    async def talk(peer: Peer) -> None:
        found.extend(frames_of(await peer.send(content)))

    conversation(talk)
    return found


def setting_to(key: int, value: int) -> bytes:
    return frame(FrameType.SETTINGS, 0, 0, setting.pack(key, value))


ENDS = {
    "http/1.1": (b"GET / HTTP/1.1\r\n\r\n", ErrorCode.PROTOCOL_ERROR),
    "no settings first": (PREFACE + frame(FrameType.PING, 0, 0, bytes(8)), ErrorCode.PROTOCOL_ERROR),
    "frame too long": (HELLO + frame(FrameType.DATA, 0, 1, bytes(FRAME_BYTES + 1)), ErrorCode.FRAME_SIZE_ERROR),
    "data on 0": (HELLO + frame(FrameType.DATA, 0, 0, b"x"), ErrorCode.PROTOCOL_ERROR),
    "data on an idle stream": (HELLO + OPEN + frame(FrameType.DATA, 0, 3, b"x"), ErrorCode.PROTOCOL_ERROR),
    "padding too long": (HELLO + OPEN + frame(FrameType.DATA, 8, 1, b"\x03ab"), ErrorCode.PROTOCOL_ERROR),
    "no padding": (HELLO + OPEN + frame(FrameType.DATA, 8, 1), ErrorCode.PROTOCOL_ERROR),
    "headers on 0": (HELLO + frame(FrameType.HEADERS, 4, 0, BLOCK), ErrorCode.PROTOCOL_ERROR),
    "headers on an even stream": (HELLO + frame(FrameType.HEADERS, 4, 2, BLOCK), ErrorCode.PROTOCOL_ERROR),
    "headers on a lower stream": (
        HELLO + frame(FrameType.HEADERS, 4, 5, BLOCK) + frame(FrameType.HEADERS, 4, 3, BLOCK),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "headers cut in their priority": (HELLO + frame(FrameType.HEADERS, 0x24, 1, bytes(4)), ErrorCode.FRAME_SIZE_ERROR),
    "headers that cannot be read": (HELLO + frame(FrameType.HEADERS, 4, 1, b"\xff\xff"), ErrorCode.COMPRESSION_ERROR),
    "priority on 0": (HELLO + frame(FrameType.PRIORITY, 0, 0, bytes(5)), ErrorCode.PROTOCOL_ERROR),
    "priority cut": (HELLO + frame(FrameType.PRIORITY, 0, 1, bytes(4)), ErrorCode.FRAME_SIZE_ERROR),
    "reset of 0": (HELLO + frame(FrameType.RST_STREAM, 0, 0, bytes(4)), ErrorCode.PROTOCOL_ERROR),
    "reset of an idle stream": (HELLO + frame(FrameType.RST_STREAM, 0, 1, bytes(4)), ErrorCode.PROTOCOL_ERROR),
    "reset cut": (HELLO + OPEN + frame(FrameType.RST_STREAM, 0, 1, bytes(3)), ErrorCode.FRAME_SIZE_ERROR),
    "settings on a stream": (HELLO + frame(FrameType.SETTINGS, 0, 1), ErrorCode.PROTOCOL_ERROR),
    "settings cut": (HELLO + frame(FrameType.SETTINGS, 0, 0, bytes(5)), ErrorCode.FRAME_SIZE_ERROR),
    "settings acknowledged at length": (HELLO + frame(FrameType.SETTINGS, 1, 0, bytes(6)), ErrorCode.FRAME_SIZE_ERROR),
    "push neither on nor off": (HELLO + setting_to(SettingId.ENABLE_PUSH, 2), ErrorCode.PROTOCOL_ERROR),
    "frames too short": (HELLO + setting_to(SettingId.MAX_FRAME_SIZE, 16_383), ErrorCode.PROTOCOL_ERROR),
    "frames too long": (HELLO + setting_to(SettingId.MAX_FRAME_SIZE, 1 << 24), ErrorCode.PROTOCOL_ERROR),
    "windows too wide": (HELLO + setting_to(SettingId.INITIAL_WINDOW_SIZE, 1 << 31), ErrorCode.FLOW_CONTROL_ERROR),
    "windows too wide together": (
        HELLO + OPEN + frame(FrameType.WINDOW_UPDATE, 0, 1, word.pack(MAX_WINDOW - 65_535))
        + setting_to(SettingId.INITIAL_WINDOW_SIZE, 65_536),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "promise": (HELLO + frame(FrameType.PUSH_PROMISE, 4, 1, bytes(4)), ErrorCode.PROTOCOL_ERROR),
    "ping on a stream": (HELLO + frame(FrameType.PING, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
    "ping cut": (HELLO + frame(FrameType.PING, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
    "ping too long": (HELLO + frame(FrameType.PING, 1, 0, bytes(9)), ErrorCode.FRAME_SIZE_ERROR),
    "goaway on a stream": (HELLO + frame(FrameType.GOAWAY, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
    "goaway cut": (HELLO + frame(FrameType.GOAWAY, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
    "update cut": (HELLO + frame(FrameType.WINDOW_UPDATE, 0, 0, bytes(3)), ErrorCode.FRAME_SIZE_ERROR),
    "update by nothing": (HELLO + frame(FrameType.WINDOW_UPDATE, 0, 0, bytes(4)), ErrorCode.PROTOCOL_ERROR),
    "update of an idle stream": (HELLO + frame(FrameType.WINDOW_UPDATE, 0, 1, word.pack(1)), ErrorCode.PROTOCOL_ERROR),
    "update too wide": (
        HELLO + frame(FrameType.WINDOW_UPDATE, 0, 0, word.pack(MAX_WINDOW - 65_534)),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "continuation of nothing": (HELLO + frame(FrameType.CONTINUATION, 4, 1), ErrorCode.PROTOCOL_ERROR),
    "continuation of another": (
        HELLO + frame(FrameType.HEADERS, 0, 1, BLOCK) + frame(FrameType.CONTINUATION, 4, 3),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "block interrupted": (
        HELLO + frame(FrameType.HEADERS, 0, 1, BLOCK) + frame(FrameType.PING, 0, 0, bytes(8)),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "block interrupted by the unknown": (
        HELLO + frame(FrameType.HEADERS, 0, 1, BLOCK) + bytes.fromhex("000000ee0000000000"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "block too long": (
        HELLO + frame(FrameType.HEADERS, 4, 1, bytes(MAX_BLOCK_BYTES + 1)),
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    "continued for too long": (
        HELLO + frame(FrameType.HEADERS, 0, 1, BLOCK) + frame(FrameType.CONTINUATION, 0, 1, bytes(1000)) * 100,
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    "headers far too long": (
        HELLO + frame(FrameType.HEADERS, 4, 1, BLOCK + b"\x82" * 2000),
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    "acknowledged before settings": (PREFACE + frame(FrameType.SETTINGS, 1, 0), ErrorCode.PROTOCOL_ERROR),
    "too many settings": (
        HELLO + frame(FrameType.SETTINGS, 0, 0, setting.pack(0x99, 7) * 33), ErrorCode.ENHANCE_YOUR_CALM,
    ),
    "too many parts": (
        HELLO + frame(FrameType.HEADERS, 0, 1, BLOCK) + frame(FrameType.CONTINUATION, 0, 1, b"") * 9,
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "code"), ENDS.values(), ids=ENDS)
def test_a_fault_ends_the_connection_and_is_named(content, code):
    async def talk(peer: Peer) -> None:
        (*_, last) = frames_of(await peer.send(content))
        assert (last.kind, last.stream) == (FrameType.GOAWAY, 0)
        assert word.unpack(last.payload[4:])[0] == code
        assert peer.wire.is_closed
        assert await peer.send(frame(FrameType.PING, 0, 0, NOTE)) == b""

    conversation(talk)


def test_a_fault_cancels_the_calls_and_a_late_response_is_dropped():
    async def talk(peer: Peer) -> None:
        await peer.send(HELLO + WAITING + frame(FrameType.PING, 0, 1, NOTE))
        peer.pending[b"x"].succeed(b"late")
        assert await peer.read() == b""

    conversation(talk)

    async def talk_more(peer: Peer) -> None:
        await peer.send(HELLO + WAITING)

    assert conversation(talk_more).cancelled == [b"x"]


RESETS = {
    "data after the end": (WAITING + frame(FrameType.DATA, 0, 1, b"x"), ErrorCode.STREAM_CLOSED),
    "headers after the end": (WAITING + OPEN, ErrorCode.STREAM_CLOSED),
    "trailers with a method": (OPEN + frame(FrameType.HEADERS, 5, 1, BLOCK), ErrorCode.PROTOCOL_ERROR),
    "trailers without an end": (OPEN + frame(FrameType.HEADERS, 4, 1, field(b"a", b"b")), ErrorCode.PROTOCOL_ERROR),
    "update by nothing": (WAITING + frame(FrameType.WINDOW_UPDATE, 0, 1, bytes(4)), ErrorCode.PROTOCOL_ERROR),
    "update too wide": (
        WAITING + frame(FrameType.WINDOW_UPDATE, 0, 1, word.pack(MAX_WINDOW - 65_534)),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "malformed": (frame(FrameType.HEADERS, 5, 1, BLOCK + field(b"A", b"b")), ErrorCode.PROTOCOL_ERROR),
    "no request": (frame(FrameType.HEADERS, 5, 1, field(b"a", b"b")), ErrorCode.PROTOCOL_ERROR),
    "more than the window": (
        frame(FrameType.HEADERS, 4, 3, BLOCK.replace(b"\x05/echo", b"\x06/waits"))
        + frame(FrameType.DATA, 0, 3, message(b"x")) + frame(FrameType.DATA, 0, 3, bytes(100_000))
        + frame(FrameType.DATA, 0, 3, bytes(60_000)),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "data after the client's reset": (
        OPEN + frame(FrameType.RST_STREAM, 0, 1, word.pack(8)) + frame(FrameType.DATA, 0, 1, b"x"),
        ErrorCode.STREAM_CLOSED,
    ),
    "headers after the client's reset": (
        OPEN + frame(FrameType.RST_STREAM, 0, 1, word.pack(8)) + OPEN,
        ErrorCode.STREAM_CLOSED,
    ),
    "data after the response": (
        OPEN + frame(FrameType.DATA, 1, 1, message(b"y")) + frame(FrameType.DATA, 1, 1, b"x"),
        ErrorCode.STREAM_CLOSED,
    ),
    "headers after the response": (
        OPEN + frame(FrameType.DATA, 1, 1, message(b"y")) + OPEN,
        ErrorCode.STREAM_CLOSED,
    ),
    "less than the content-length": (
        frame(FrameType.HEADERS, 4, 1, BLOCK + field(b"content-length", b"100")) + frame(FrameType.DATA, 1, 1, b"x"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "more than the content-length": (
        frame(FrameType.HEADERS, 4, 1, BLOCK + field(b"content-length", b"1")) + frame(FrameType.DATA, 0, 1, b"xx"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a content-length and no body": (
        frame(FrameType.HEADERS, 5, 1, BLOCK + field(b"content-length", b"1")),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a content-length that is no number": (
        frame(FrameType.HEADERS, 4, 1, BLOCK + field(b"content-length", b"-1")),
        ErrorCode.PROTOCOL_ERROR,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "code"), RESETS.values(), ids=RESETS)
def test_a_fault_on_a_stream_ends_the_stream_alone(content, code):
    async def talk(peer: Peer) -> None:
        sent = frames_of(await peer.send(HELLO + content))
        resets = [word.unpack(each.payload)[0] for each in sent if each.kind == FrameType.RST_STREAM]
        assert resets == [code]
        assert peer.cancelled == [each for each in peer.requests if each == b"x"]
        again = frames_of(await peer.send(frame(FrameType.PING, 0, 0, NOTE)))
        assert again == [Sent(FrameType.PING, 1, 0, NOTE)]

    conversation(talk)


IGNORED = {
    "unknown kind": bytes.fromhex("000003ee0000000001616263"),
    "unknown setting": setting_to(0x99, 7),
    "priority": frame(FrameType.PRIORITY, 0, 7, bytes(5)),
    "goaway": frame(FrameType.GOAWAY, 0, 0, bytes(8) + b"bye"),
    "acknowledged": frame(FrameType.SETTINGS, 1, 0),
    "a ping acknowledged": frame(FrameType.PING, 1, 0, bytes(8)),
    "nothing": b"",
}


@pytest.mark.parametrize("content", IGNORED.values(), ids=IGNORED)
def test_frames_without_a_meaning_for_us_are_ignored(content):
    sent = frames_after(HELLO + content + frame(FrameType.PING, 0, 0, NOTE))
    assert [each for each in sent if each.kind not in (FrameType.SETTINGS, FrameType.WINDOW_UPDATE)] == [
        Sent(FrameType.PING, 1, 0, NOTE)
    ]


def test_frames_for_streams_that_were_reset_are_ignored():
    refused = OPEN.replace(b"/echo", b"/nope")
    late = frame(FrameType.DATA, 0, 1, b"x") + frame(FrameType.HEADERS, 5, 1, field(b"a", b"b"))
    late += frame(FrameType.WINDOW_UPDATE, 0, 1, word.pack(1)) + frame(FrameType.RST_STREAM, 0, 1, word.pack(8))
    sent = frames_after(HELLO + refused + late + frame(FrameType.PING, 0, 0, NOTE))
    assert [each.kind for each in sent][-3:] == [FrameType.HEADERS, FrameType.RST_STREAM, FrameType.PING]


PIECES = [BLOCK[:1], BLOCK[1:2], b"", BLOCK[2:]]
CONTINUED = b"".join(
    frame(FrameType.CONTINUATION if number else FrameType.HEADERS, 4 * (number == 3), 1, piece)
    for number, piece in enumerate(PIECES)
)
PRIORITISED = frame(FrameType.HEADERS, 0x2C, 1, b"\x02" + bytes(5) + BLOCK + bytes(2))


@pytest.mark.parametrize("opening", [OPEN, CONTINUED, PRIORITISED], ids=["plain", "continued", "padded"])
@pytest.mark.parametrize(
    "body",
    [
        frame(FrameType.DATA, 1, 1, message(b"hello")),
        frame(FrameType.DATA, 9, 1, b"\x05" + message(b"hello") + bytes(5)),
        b"".join(frame(FrameType.DATA, 0, 1, bytes((each,))) for each in message(b"hello"))
        + frame(FrameType.DATA, 1, 1),
        frame(FrameType.DATA, 0, 1, message(b"hello")) + frame(FrameType.HEADERS, 5, 1, field(b"a", b"b")),
    ],
    ids=["whole", "padded", "bytewise", "trailers"],
)
def test_a_call_is_the_same_in_whatever_frames_it_comes(opening, body):
    sent = frames_after(HELLO + opening + body)
    responses = [each for each in sent if each.stream == 1 and each.kind != FrameType.WINDOW_UPDATE]
    assert [(each.kind, each.flags) for each in responses] == [
        (FrameType.HEADERS, 4),
        (FrameType.DATA, 0),
        (FrameType.HEADERS, 5),
    ]
    assert responses[1].payload == message(b"hello")
    assert b"grpc-status\x010" in responses[2].payload


def test_settings_are_acknowledged_one_by_one():
    sent = frames_after(HELLO + SETTINGS * 3)
    assert [each for each in sent if each.kind == FrameType.SETTINGS and each.flags] == [
        Sent(FrameType.SETTINGS, 1, 0, b"")
    ] * 4
