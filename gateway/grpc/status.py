"""The status with which a gRPC call ends."""

from typing import NamedTuple
from urllib.parse import quote_from_bytes

import structlog

from gateway.errors import ERROR_HEADER, STATUS_OF, RateLimited, status_of
from gateway.grpc.http2.headers import field

UNIMPLEMENTED, INTERNAL = 12, 13
OK_TRAILERS = field(b"grpc-status", b"0")
"""The trailers of every call that succeeded."""

_OUR_FAULT = "The gateway failed; its log says why."
# A sentence may quote what the caller sent. Clients accept 8 KiB of metadata, and a byte beyond ASCII is sent as three.
_MAX_SENTENCE = 500
_SAFE = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"

_log = structlog.get_logger()


class GrpcFailure(NamedTuple):
    """The status of a call that gets no response."""

    status: int
    sentence: str
    metadata: tuple[tuple[str, str], ...] = ()

    def trailers(self) -> bytes:
        """Return the trailers' header block."""
        message = quote_from_bytes(self.sentence.strip().encode("utf-8", "replace"), safe=_SAFE).encode()
        block = field(b"grpc-status", str(self.status).encode()) + field(b"grpc-message", message)
        return block + b"".join(field(name.encode(), value.encode()) for name, value in self.metadata)


class Failed(Exception):
    """A call that ends with a status other than OK."""

    def __init__(self, failure: GrpcFailure) -> None:
        super().__init__(failure.sentence)
        self.failure = failure


def failure_of(error: BaseException, decision_id: str = "") -> GrpcFailure:
    """Return the status for an error. For our own bugs it says only that the log has them; they are logged here."""
    metadata = [("x-decision-id", decision_id)] if decision_id else []
    if type(error) not in STATUS_OF:
        _log.error("gateway.grpc.failed", exc_info=error)
        return GrpcFailure(status_of(error).grpc, _OUR_FAULT, tuple(metadata))
    metadata.append((ERROR_HEADER, type(error).__name__))
    if isinstance(error, RateLimited):
        metadata.append(("grpc-retry-pushback-ms", str(round(error.retry_after_s * 1000))))
    sentence = str(error)
    if len(sentence) > _MAX_SENTENCE:
        sentence = f"{sentence[:_MAX_SENTENCE]}…"
    return GrpcFailure(status_of(error).grpc, sentence, tuple(metadata))
