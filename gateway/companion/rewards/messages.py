"""The messages between a replica and the companion: frames, each with its length before it."""

import socket
import struct
from enum import StrEnum

import msgspec

from gateway.protocols.rewards import RewardProtocol

LENGTH = struct.Struct("<I")
MAX_BYTES = 16 * 1024 * 1024
"""No message is longer. The ports take no bodies that are."""
_RECEIVE_BYTES = 1 << 18


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """A request with rewards, in the form of its protocol.

    `routes` are those whose decisions the caller may reward; None for all.
    """

    protocol: RewardProtocol
    routes: tuple[str, ...] | None
    body: bytes


class Outcome(StrEnum):
    """What the content of an answer is."""

    RESULTS = "results"  # the response, in the form of the protocol
    REJECTED = "rejected"  # a sentence: the request is no list of rewards
    NOT_COUNTED = "not counted"  # a sentence: the request may be sent again


class Answered(msgspec.Struct, frozen=True, array_like=True):
    """The companion's answer to a request."""

    outcome: Outcome
    content: bytes


_encode = msgspec.msgpack.Encoder().encode
decode_asked = msgspec.msgpack.Decoder(Asked).decode
decode_answered = msgspec.msgpack.Decoder(Answered).decode


def frame(message: Asked | Answered) -> bytes:
    """Return the bytes to send."""
    content = _encode(message)
    return LENGTH.pack(len(content)) + content


def receive(connection: socket.socket) -> bytes | None:
    """Return the next message, or None if the other side sends no more.

    Raises:
        OSError: the connection is broken, or the message is too long.
    """
    head = _receive(connection, LENGTH.size)
    if head is None:
        return None
    (length,) = LENGTH.unpack(head)
    if length > MAX_BYTES:
        raise OSError(f"A message of {length} bytes is too long.")
    return _receive(connection, length)


def _receive(connection: socket.socket, count: int) -> bytes | None:
    received = bytearray()
    while len(received) < count:
        part = connection.recv(min(count - len(received), _RECEIVE_BYTES))
        if not part:
            return None
        received += part
    return bytes(received)
