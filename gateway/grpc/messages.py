"""The messages of a gRPC call, and the metadata that say how to read them.

A body consists of messages. Each follows a prefix of five bytes: a flag, which is 1 if the message is compressed, and
the message's length.
"""

from typing import NamedTuple

from gateway.errors import BadRequest, TooLarge
from gateway.eventloop.offload import LARGE_BYTES
from gateway.grpc.http2.headers import STATUS_200, HeaderMap, field
from gateway.grpc.status import INTERNAL, UNIMPLEMENTED, Failed, GrpcFailure

RESPONSE_HEADERS = (
    STATUS_200 + field(b"content-type", b"application/grpc") + field(b"grpc-accept-encoding", b"identity,deflate,gzip")
)
"""The headers of every response that has messages."""

PREFIX_BYTES = 5
_ENCODINGS = (b"gzip", b"deflate")
_SECONDS_OF = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_MAX_TIMEOUT_BYTES = 9  # eight digits and the unit


def is_grpc(headers: HeaderMap) -> bool:
    """Return True if a request is a gRPC call. gRPC-Web, whose messages have another form, is not."""
    kind = headers.get(b"content-type", b"")
    return headers[b":method"] == b"POST" and kind[:16] == b"application/grpc" and kind[16:17] in (b"", b"+", b";")


def time_left_s(headers: HeaderMap) -> float | None:
    """Return the seconds that the call's own deadline leaves, or None if it has none.

    Raises:
        BadRequest: `grpc-timeout` is not digits and a unit.
    """
    value = headers.get(b"grpc-timeout")
    if value is None:
        return None
    unit = _SECONDS_OF.get(value[-1:])
    if unit is None or not value[:-1].isdigit() or len(value) > _MAX_TIMEOUT_BYTES:
        raise BadRequest("grpc-timeout must be at most eight digits and a unit (H, M, S, m, u, n).")
    return int(value[:-1]) * unit


def framed_size(received: bytearray) -> int:
    """Return the size of the first message with its prefix, or 0 if the prefix has not arrived."""
    if len(received) < PREFIX_BYTES:
        return 0
    return PREFIX_BYTES + int.from_bytes(received[1:PREFIX_BYTES], "big")


class Message(NamedTuple):
    """A message as it came, in a body of which it took `size` bytes. `encoding` is empty if it is not compressed."""

    content: bytes | memoryview
    encoding: bytes
    size: int


def next_message(received: bytearray, headers: HeaderMap, max_bytes: int) -> Message | None:
    """Return the first message, or None if it has not arrived as a whole. A large one is not copied.

    Raises:
        TooLarge: the message is, or will be, longer than `max_bytes`.
        Failed: it is compressed, but the headers do not say how, or name an unknown encoding.
    """
    end = framed_size(received)
    if end > PREFIX_BYTES + max_bytes:
        raise TooLarge(f"The message is too large: {end - PREFIX_BYTES} bytes; at most {max_bytes} are taken.")
    if not end or len(received) < end:
        return None
    content = memoryview(received)[PREFIX_BYTES:end]
    encoding = _encoding(received[0], headers) if received[0] else b""
    return Message(content if end > LARGE_BYTES else bytes(content), encoding, end)


def _encoding(flag: int, headers: HeaderMap) -> bytes:
    encoding = headers.get(b"grpc-encoding", b"identity")
    if flag != 1 or encoding == b"identity":
        raise Failed(GrpcFailure(INTERNAL, "The message is flagged as compressed, but grpc-encoding does not say how."))
    if encoding not in _ENCODINGS:
        raise Failed(GrpcFailure(UNIMPLEMENTED, "This grpc-encoding is not supported; see grpc-accept-encoding."))
    return encoding


def prefix(content_bytes: int) -> bytes:
    """Return what comes before a message of so many bytes."""
    return b"\0" + content_bytes.to_bytes(4, "big")


def framed(content: bytes) -> bytes:
    """Return a message with its prefix."""
    return b"\0" + len(content).to_bytes(4, "big") + content
