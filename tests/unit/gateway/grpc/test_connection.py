"""Calls on a connection of memory: messages, compressions, streams, and calls that stay."""

import gzip
import tracemalloc
import zlib

import pytest
from h2.events import ResponseReceived

from gateway.grpc.http2.frames import FrameType, frame, word
from gateway.grpc.messages import failure_of
from tests.unit.gateway.grpc.http2.support import MOST_BYTES, Answer, Peer, answer_in, conversation, frames_of, message


def answer_to(body: bytes, *more: tuple[str, str], path: str = "/echo", ends: bool = True) -> Answer:
    found: list[Answer] = []

    async def talk(peer: Peer) -> None:
        await peer.open()
        stream = peer.ask(body, path, *more, ends=ends)
        found.append(answer_in(await peer.say(), stream))

    conversation(talk)
    return found[0]


def answered(content: bytes) -> Answer:
    return Answer(content, "0", "", is_ended=True, reset=None)


@pytest.mark.parametrize("content", [b"", b"x", bytes(50_000)])
def test_a_message_is_answered_by_one(content):
    assert answer_to(message(content)) == answered(message(content))


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", "3", "no message"),
        (b"\0\0\0", "3", "cut off"),
        (message(b"abc")[:-1], "3", "cut off"),
        (message(b"abc") + message(b""), "3", "there is more"),
        (message(b"abc") + b"x", "3", "there is more"),
        (message(bytes(MOST_BYTES + 1)), "8", "too large: 100001 bytes; at most 100000"),
        (message(b"fail"), "3", "Failed as asked."),
        (message(b"abc", flag=1), "13", "grpc-encoding"),
        (message(b"abc", flag=2), "13", "grpc-encoding"),
    ],
)
def test_what_is_not_one_message_is_told_so(body, status, words):
    got = answer_to(body)
    assert (got.status, got.is_ended) == (status, True)
    assert words in got.sentence


PACKED = {"gzip": gzip.compress, "deflate": zlib.compress}


@pytest.mark.parametrize("encoding", PACKED)
def test_compressed_messages_are_unpacked(encoding):
    pack, name = PACKED[encoding], ("grpc-encoding", encoding)
    assert answer_to(message(pack(b"hello"), flag=1), name) == answered(message(b"hello"))
    assert answer_to(message(b"hello"), name) == answered(message(b"hello"))
    assert answer_to(message(b"no zip", flag=1), name).status == "3"
    assert answer_to(message(pack(bytes(MOST_BYTES)), flag=1), name, path="/size") == answered(message(b"100000"))


def test_a_bomb_is_not_unpacked():
    bomb = message(gzip.compress(bytes(50_000_000)), flag=1)
    tracemalloc.start()
    assert answer_to(bomb, ("grpc-encoding", "gzip")).status == "8"
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_a_compression_that_is_not_known_is_unimplemented():
    got = answer_to(message(b"x", flag=1), ("grpc-encoding", "snappy"))
    assert (got.status, "grpc-accept-encoding" in got.sentence) == ("12", True)


@pytest.mark.parametrize(
    ("body", "status"), [(message(bytes(MOST_BYTES + 1))[:5], "8"), (message(b"a") + b"x", "3")], ids=["large", "more"]
)
def test_what_cannot_become_right_is_told_before_it_ends(body, status):
    got = answer_to(body, ends=False)
    assert (got.status, got.reset) == (status, 0)


def test_a_method_that_is_unknown_is_told_before_its_message():
    got = answer_to(b"", path="/nope", ends=False)
    assert (got.status, got.reset) == ("12", 0)
    assert got.sentence == "There is no method /nope; see reflection."


@pytest.mark.parametrize("kind", ["application/json", "application/grpc-web", "application/grpcx", ""])
def test_what_is_no_call_is_told_so_in_words_of_http(kind):
    async def talk(peer: Peer) -> None:
        await peer.open()
        fields = [(":method", "POST"), (":scheme", "http"), (":path", "/echo"), (":authority", "a")]
        peer.client.send_headers(1, [*fields, ("content-type", kind)])
        (response,) = [event for event in await peer.say() if isinstance(event, ResponseReceived)]
        assert response.headers == [(":status", "415")]

    conversation(talk)


@pytest.mark.parametrize("kind", ["application/grpc+proto", "application/grpc;a=b"])
def test_kinds_of_grpc_are_calls(kind):
    async def talk(peer: Peer) -> None:
        await peer.open()
        fields = [(":method", "POST"), (":scheme", "http"), (":path", "/echo"), (":authority", "a")]
        peer.client.send_headers(1, [*fields, ("content-type", kind)])
        peer.client.send_data(1, message(b"x"), end_stream=True)
        assert answer_in(await peer.say(), 1) == answered(message(b"x"))

    conversation(talk)


def test_calls_end_in_the_order_in_which_their_work_does():
    async def talk(peer: Peer) -> None:
        await peer.open()
        one, two = peer.ask(message(b"1"), "/wait"), peer.ask(message(b"2"), "/wait")
        await peer.say()
        peer.pending[b"2"].succeed(b"second")
        assert answer_in(await peer.listen(), two) == answered(message(b"second"))
        peer.pending[b"1"].fail(ValueError("a fault of ours"))
        got = answer_in(await peer.listen(), one)
        assert (got.status, got.sentence) == ("13", "The gateway failed; its log says why.")

    conversation(talk)


def test_a_stream_without_messages_is_answered_by_none():
    assert answer_to(b"", path="/echoes") == answered(b"")


def test_a_long_queue_is_answered_in_order_while_others_get_their_turn():
    parts = [message(b"%d" % number) for number in range(3000)]

    async def talk(peer: Peer) -> None:
        await peer.open()
        stream = peer.ask(b"".join(parts), "/echoes")
        events = await peer.say()
        assert len(peer.asked) < 100
        lone = peer.ask(message(b"lone"))
        events += (quick := await peer.say())
        assert answer_in(quick, lone) == answered(message(b"lone"))
        while not answer_in(events, stream).is_ended:
            events += await peer.listen()
        assert answer_in(events, stream) == answered(b"".join(parts))

    conversation(talk)


def test_a_stream_ends_with_the_answer_to_its_last_message():
    async def talk(peer: Peer) -> None:
        await peer.open()
        stream = peer.ask(message(b"1") + message(b"2"), "/waits", ends=False)
        await peer.say()
        assert peer.asked == [b"1"]
        peer.client.end_stream(stream)
        await peer.say()
        peer.pending[b"1"].succeed(b"one")
        assert answer_in(await peer.listen(), stream) == Answer(message(b"one"), None, "", is_ended=False, reset=None)
        peer.pending[b"2"].succeed(b"two")
        assert answer_in(await peer.listen(), stream) == answered(message(b"two"))

    conversation(talk)


@pytest.mark.parametrize(
    ("wrong", "status"),
    [(message(bytes(MOST_BYTES + 1))[:9], "8"), (message(b"x", flag=1), "13"), (b"\0\0", "3"), (message(b"fail"), "3")],
)
def test_a_stream_that_goes_wrong_answers_what_came_before(wrong, status):
    async def talk(peer: Peer) -> None:
        await peer.open()
        stream = peer.ask(message(b"1") + wrong, "/echoes")
        events = await peer.say()
        events += await peer.listen()
        got = answer_in(events, stream)
        assert (got.content, got.status, got.is_ended) == (message(b"1"), status, True)

    conversation(talk)


def test_a_stream_that_is_reset_cancels_its_work_and_drops_its_queue():
    async def talk(peer: Peer) -> None:
        await peer.open()
        stream = peer.ask(message(b"1") + message(b"2"), "/waits", ends=False)
        await peer.say()
        peer.client.reset_stream(stream)
        await peer.say()
        assert await peer.rest() == b""

    peer = conversation(talk)
    assert (peer.asked, peer.left) == ([b"1"], [b"1"])


def test_work_that_fails_when_it_is_cancelled_harms_nobody(monkeypatch):
    async def talk(peer: Peer) -> None:
        await peer.open()
        streams = [peer.ask(message(b"%d" % number), "/wait") for number in range(3)]
        await peer.say()
        for stream in streams[:2]:
            monkeypatch.setattr(peer.connection.streams[stream].owner.driven, "_work", Stubborn(), raising=False)

    assert conversation(talk).left == [b"2"]


class Stubborn:
    """Work that cannot be cancelled in peace."""

    def throw(self, _: BaseException) -> None:
        raise ValueError("a fault of ours")


def test_who_stays_is_told_what_has_changed():
    async def talk(peer: Peer) -> None:
        await peer.open()
        stream, other = peer.ask(message(b"!"), "/watch"), peer.ask(message(b"x"), "/wait")
        assert answer_in(await peer.say(), stream).content == message(b"well!")
        peer.connection.renew()
        assert await peer.rest() == b""
        peer.health = b"ill"
        peer.connection.renew()
        peer.connection.renew()
        assert answer_in(await peer.listen(), stream).content == message(b"ill!")
        peer.connection.drain()
        peer.connection.end_when_idle()
        peer.pending[b"x"].succeed(b"y")
        sent = frames_of(await peer.rest())  # after a goodbye h2 listens no more
        assert [(each.kind, each.stream) for each in sent if each.flags & 1] == [(1, stream), (1, other)]
        assert all(b"grpc-status\x010" in each.payload for each in sent if each.flags & 1)
        assert peer.wire.is_closed

    conversation(talk)


def test_who_stays_and_leaves_is_told_nothing():
    async def talk(peer: Peer) -> None:
        await peer.open()
        stream = peer.ask(message(b"!"), "/watch")
        await peer.say()
        await peer.hear(frame(FrameType.RST_STREAM, 0, stream, word.pack(8)))
        peer.health = b"ill"
        peer.connection.renew()
        assert await peer.rest() == b""

    conversation(talk)


def test_a_sentence_does_not_begin_or_end_in_a_space():
    assert failure_of(ValueError())._replace(sentence=" a\nb ").trailers().endswith(b"\x05a%0Ab")
