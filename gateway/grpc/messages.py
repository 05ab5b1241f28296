"""What every gRPC call has: a deadline and a compression that come in, a status that goes out. Decides."""

from typing import NamedTuple
from urllib.parse import quote_from_bytes

import structlog

from gateway.errors import ERROR_HEADER, STATUS_OF, BadRequest, RateLimited, TooLarge, status_of
from gateway.grpc.http2.headers import OK as HTTP_OK
from gateway.grpc.http2.headers import Headers, field
from gateway.protocols.compression import decompress

FAULT = "The gateway failed; its log says why."

# A sentence may quote what the caller sent. Clients take 8 KiB of metadata, and every byte beyond ASCII takes three.
_MAX_SENTENCE = 500
_INTERNAL, _UNIMPLEMENTED = 13, 12
_ENCODINGS = (b"gzip", b"deflate")
_SECONDS_OF = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_PREFIX_BYTES = 5
_SAFE = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"

ANSWER = (
    HTTP_OK + field(b"content-type", b"application/grpc") + field(b"grpc-accept-encoding", b"identity,deflate,gzip")
)
"""The headers of every answer that has messages."""
SUCCESS = field(b"grpc-status", b"0")
"""The trailers of every answer that succeeded."""

_log = structlog.get_logger()


class GrpcFailure(NamedTuple):
    """How a call ends that has no answer."""

    status: int
    sentence: str
    metadata: tuple[tuple[str, str], ...] = ()

    def trailers(self) -> bytes:
        """The header block that says so."""
        message = quote_from_bytes(self.sentence.strip().encode("utf-8", "replace"), safe=_SAFE).encode()
        block = field(b"grpc-status", str(self.status).encode()) + field(b"grpc-message", message)
        return block + b"".join(field(name.encode(), value.encode()) for name, value in self.metadata)


class Failed(Exception):
    """A call that ends with a status other than OK."""

    def __init__(self, failure: GrpcFailure) -> None:
        super().__init__(failure.sentence)
        self.failure = failure


def is_grpc(headers: Headers) -> bool:
    """Whether a request is a call at all, and not one of gRPC-Web, whose messages look otherwise."""
    kind = headers.get(b"content-type", b"")
    return headers[b":method"] == b"POST" and kind[:16] == b"application/grpc" and kind[16:17] in (b"", b"+", b";")


def failure_of(error: BaseException, decision_id: str = "") -> GrpcFailure:
    """What the caller is told of an error; of a fault of ours no more than that there was one, which is logged."""
    metadata = [("x-decision-id", decision_id)] if decision_id else []
    if type(error) not in STATUS_OF:
        _log.error("gateway.grpc.failed", exc_info=error)
        return GrpcFailure(status_of(error).grpc, FAULT, tuple(metadata))
    metadata.append((ERROR_HEADER, type(error).__name__))
    if isinstance(error, RateLimited):
        metadata.append(("grpc-retry-pushback-ms", str(round(error.retry_after_s * 1000))))
    sentence = str(error)
    if len(sentence) > _MAX_SENTENCE:
        sentence = f"{sentence[:_MAX_SENTENCE]}…"
    return GrpcFailure(status_of(error).grpc, sentence, tuple(metadata))


def time_left_s(headers: Headers) -> float | None:
    """What the call's own deadline leaves, in seconds.

    Raises:
        BadRequest: `grpc-timeout` is not digits and a unit.
    """
    value = headers.get(b"grpc-timeout")
    if value is None:
        return None
    unit = _SECONDS_OF.get(value[-1:])
    if unit is None or not value[:-1].isdigit() or len(value) > 9:  # eight digits and the unit
        raise BadRequest("grpc-timeout must be at most eight digits and a unit (H, M, S, m, u, n).")
    return int(value[:-1]) * unit


def announced(received: bytearray) -> int:
    """How long the first message is with what stands before it; 0 until that is known."""
    if len(received) < _PREFIX_BYTES:
        return 0
    return _PREFIX_BYTES + int.from_bytes(received[1:_PREFIX_BYTES], "big")


def next_message(received: bytearray, headers: Headers, max_bytes: int) -> tuple[bytes, int] | None:
    """The first whole message among what was received, and how many bytes it took; None if it is not whole yet.

    Raises:
        TooLarge: the message is, or will be, longer than `max_bytes`.
        Failed: it is compressed in a way that was not announced, or that is not known.
        BadRequest: what it was compressed to is damaged.
    """
    end = announced(received)
    if end > _PREFIX_BYTES + max_bytes:
        raise TooLarge(f"The message is too large: {end - _PREFIX_BYTES} bytes; at most {max_bytes} are taken.")
    if not end or len(received) < end:
        return None
    content = bytes(memoryview(received)[_PREFIX_BYTES:end])
    if received[0]:
        content = _unpacked(received[0], content, headers, max_bytes)
    return content, end


def _unpacked(flag: int, content: bytes, headers: Headers, max_bytes: int) -> bytes:
    encoding = headers.get(b"grpc-encoding", b"identity")
    if flag != 1 or encoding == b"identity":
        raise Failed(GrpcFailure(_INTERNAL, "The message is flagged as compressed, but grpc-encoding says not how."))
    if encoding not in _ENCODINGS:
        raise Failed(GrpcFailure(_UNIMPLEMENTED, "This grpc-encoding is not supported; see grpc-accept-encoding."))
    return decompress(content, encoding, max_bytes)


def framed(content: bytes) -> bytes:
    """A message as it stands in the body."""
    return b"\0" + len(content).to_bytes(4, "big") + content
