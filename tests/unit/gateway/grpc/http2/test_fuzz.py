"""Conversations that were valid until some of their bytes were changed."""

import random

import pytest

from gateway.grpc.http2.frames import MAX_WINDOW, FrameType, frame, word
from tests.unit.gateway.grpc.http2.support import HELLO, Peer, Sent, call_headers, conversation, frames_of, message


def mutated(number: int) -> bytes:
    """Return a conversation of which some bytes were changed."""
    dice = random.Random(number)  # noqa: S311  # reproducible, not secret
    frames = []
    for stream in range(1, dice.randrange(3, 41), 2):
        path = dice.choice([b"/echo", b"/wait", b"/echoes", b"/watch", b"/nope"])
        frames += [
            call_headers(stream, path),
            frame(FrameType.DATA, dice.randrange(2), stream, message(dice.randbytes(9))),
        ]
        kind, size = dice.randrange(11), dice.choice([0, 4, 5, 6, 8, 100])
        target = dice.choice([0, stream, stream, 1])
        frames.append(dice.choice([b"", bytes((0, 0, size, kind, dice.randrange(256))) + word.pack(target)]))
        frames[-1] += dice.randbytes(size) if frames[-1] else b""
        if dice.random() < 0.3:
            frames.append(frame(FrameType.WINDOW_UPDATE, 0, target, word.pack(dice.choice([1, 9, MAX_WINDOW]))))
        if dice.random() < 0.3:
            value = dice.choice([0, 1, 20_000, MAX_WINDOW])
            frames.append(frame(FrameType.SETTINGS, 0, 0, bytes((0, dice.randrange(1, 7))) + word.pack(value)))
    content = bytearray(b"".join(frames))
    for _ in range(dice.choice([0, 0, 1, 2, 20])):
        content[dice.randrange(len(content))] = dice.randrange(256)
    return bytes(content)


def require_order(sent: list[Sent]) -> None:
    """Check that each stream has its headers before its data, and nothing after its end."""
    begun, ended = set(), set()
    for each in sent:
        assert each.kind < 10
        if each.kind in (FrameType.DATA, FrameType.HEADERS):
            assert each.stream not in ended
            assert each.stream in begun or each.kind == FrameType.HEADERS
            begun.add(each.stream)
            ended |= {each.stream} if each.flags & 1 else set()
        elif each.kind == FrameType.RST_STREAM:
            ended.add(each.stream)


@pytest.mark.parametrize("seed", range(4))
def test_nothing_that_is_sent_does_more_than_end_the_connection(seed):
    for number in range(seed * 100, seed * 100 + 100):

        async def talk(peer: Peer, number: int = number) -> None:
            content, dice = mutated(number), random.Random(number)  # noqa: S311  # reproducible, not secret
            received = await peer.send(HELLO)
            while content:
                size = dice.choice([1, 9, 50, 1000])
                if dice.random() < 0.05:
                    dice.choice([peer.http2.pause_writing, peer.http2.resume_writing])()
                if dice.random() < 0.01:
                    peer.connection.drain()
                    peer.connection.end_when_idle()
                received += await peer.send(content[:size])
                content = content[size:]
            for pending in peer.pending.values():
                pending.succeed(b"response")
            received += await peer.read()
            require_order(frames_of(received))
            assert len(received) < 1_000_000

        conversation(talk)
