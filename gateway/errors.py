"""The errors that the gateway itself raises, and the table that gives every error class its HTTP and gRPC status.

The first line of each class's docstring appears on the OpenAPI page as the meaning of its `x-error` value.
"""

import math
from typing import NamedTuple

from registry_sync.errors import RegistryUnavailable, UnknownModel
from router.errors import Corrupt, Quarantined, Rejected, UnknownRoute, UnknownVersion
from runtimes.errors import InputRefused, ModelFailed, ModelRefused, StillLoading
from store.errors import Conflict, Foreign, Moved, StoreUnavailable


class GatewayError(Exception):
    """The base class of the gateway's own errors. The message is a sentence for the caller."""


class BadRequest(GatewayError):
    """The request is malformed or does not fit the model's signature."""


class Unauthenticated(GatewayError):
    """The credentials are missing or not valid."""


class Forbidden(GatewayError):
    """The credentials are valid, but their scopes or routes do not cover the request."""


class NotSigned(GatewayError):
    """The message of a registry is not signed with the secret of both, or is too old."""


class CrossOrigin(GatewayError):
    """The request may come from a web page of another origin, or names a host that is not this gateway."""


class RateLimited(GatewayError):
    """The key has used up its rate. The header retry-after says when the caller may try again."""

    def __init__(self, sentence: str, retry_after_s: float) -> None:
        super().__init__(sentence)
        self.retry_after_s = retry_after_s


class TooLarge(GatewayError):
    """The body is larger than allowed."""


class UnsupportedContent(GatewayError):
    """The path does not take this content type."""


class HeadersTooLarge(GatewayError):
    """The path and headers are larger than allowed."""


class TooSlow(GatewayError):
    """The client took too long to send its request."""


class UnknownService(GatewayError):
    """The gateway does not serve the service of this health check."""


class WrongMethod(GatewayError):
    """The path does not take this method. The header allow names those that it takes."""

    def __init__(self, sentence: str, allow: str = "POST") -> None:
        super().__init__(sentence)
        self.allow = allow


class NotSupported(GatewayError):
    """The protocol defines this operation, and the gateway does not have it."""


class PreconditionMissing(GatewayError):
    """The change does not name the version that it replaces (If-Match, or If-None-Match: * for a new route)."""


class Overloaded(GatewayError):
    """Too many requests are in flight."""


class NotReady(GatewayError):
    """The route is declared, but its versions are not loaded here."""


class RewardsNotCounted(GatewayError):
    """It is not known that the rewards were counted. They may be sent again: each of them counts once."""


class RowNotConfirmed(GatewayError):
    """The route is strict, and it is not known in time that a second place has the rows of the request."""


class ArmDown(GatewayError):
    """The arm's circuit breaker is open: the arm has failed too often lately."""


class TooLate(GatewayError):
    """The deadline passed, or too little time is left for the model to answer before it."""

    def __init__(self, sentence: str = "", *, is_not_started: bool = False) -> None:
        """Take the sentence. With `is_not_started`, the model was not asked, by no fault of the route's requests."""
        super().__init__(sentence)
        self.is_not_started = is_not_started


class BrokenOff(GatewayError):
    """The request kept the event loop busy for too long, and was broken off."""


class ClientGone(GatewayError):
    """The client closed its connection or cancelled its call before the response was ready."""


class EngineFailed(GatewayError):
    """The engine that runs the replicas did not start."""


ERROR_HEADER = "x-error"
"""The header that names the error class of a response. A 5xx without it is a fault of the gateway itself."""


class ErrorStatus(NamedTuple):
    """The HTTP status of an error class, and its gRPC status (the numbers of `grpc.StatusCode`)."""

    http: int
    grpc: int


_CANCELLED, _INVALID_ARGUMENT, _DEADLINE_EXCEEDED, _NOT_FOUND, _PERMISSION_DENIED = 1, 3, 4, 5, 7
_RESOURCE_EXHAUSTED, _FAILED_PRECONDITION, _ABORTED, _UNIMPLEMENTED, _INTERNAL, _UNAVAILABLE = 8, 9, 10, 12, 13, 14
_UNAUTHENTICATED = 16

STATUS_OF: dict[type[Exception], ErrorStatus] = {
    BadRequest: ErrorStatus(400, _INVALID_ARGUMENT),
    Rejected: ErrorStatus(400, _INVALID_ARGUMENT),
    ModelRefused: ErrorStatus(400, _INVALID_ARGUMENT),
    UnknownModel: ErrorStatus(400, _INVALID_ARGUMENT),
    Unauthenticated: ErrorStatus(401, _UNAUTHENTICATED),
    Forbidden: ErrorStatus(403, _PERMISSION_DENIED),
    NotSigned: ErrorStatus(403, _PERMISSION_DENIED),
    CrossOrigin: ErrorStatus(403, _PERMISSION_DENIED),
    UnknownRoute: ErrorStatus(404, _NOT_FOUND),
    UnknownVersion: ErrorStatus(404, _NOT_FOUND),
    UnknownService: ErrorStatus(404, _NOT_FOUND),
    WrongMethod: ErrorStatus(405, _UNIMPLEMENTED),
    TooSlow: ErrorStatus(408, _DEADLINE_EXCEEDED),
    Conflict: ErrorStatus(409, _ABORTED),
    Moved: ErrorStatus(409, _ABORTED),
    Foreign: ErrorStatus(409, _ABORTED),
    Quarantined: ErrorStatus(409, _FAILED_PRECONDITION),
    TooLarge: ErrorStatus(413, _RESOURCE_EXHAUSTED),
    UnsupportedContent: ErrorStatus(415, _INVALID_ARGUMENT),
    InputRefused: ErrorStatus(422, _INVALID_ARGUMENT),
    PreconditionMissing: ErrorStatus(428, _FAILED_PRECONDITION),
    RateLimited: ErrorStatus(429, _RESOURCE_EXHAUSTED),
    Overloaded: ErrorStatus(429, _RESOURCE_EXHAUSTED),
    HeadersTooLarge: ErrorStatus(431, _RESOURCE_EXHAUSTED),
    ClientGone: ErrorStatus(499, _CANCELLED),
    ModelFailed: ErrorStatus(500, _INTERNAL),
    BrokenOff: ErrorStatus(500, _INTERNAL),
    Corrupt: ErrorStatus(500, _INTERNAL),
    ArmDown: ErrorStatus(503, _UNAVAILABLE),
    RewardsNotCounted: ErrorStatus(503, _UNAVAILABLE),
    RowNotConfirmed: ErrorStatus(503, _UNAVAILABLE),
    NotReady: ErrorStatus(503, _UNAVAILABLE),
    StillLoading: ErrorStatus(503, _UNAVAILABLE),
    StoreUnavailable: ErrorStatus(503, _UNAVAILABLE),
    RegistryUnavailable: ErrorStatus(503, _UNAVAILABLE),
    NotSupported: ErrorStatus(501, _UNIMPLEMENTED),
    TooLate: ErrorStatus(504, _DEADLINE_EXCEEDED),
}
"""The statuses of each error class. Any other class is a fault of the gateway: 500, INTERNAL."""

_FAULT = ErrorStatus(500, _INTERNAL)


def status_of(error: BaseException) -> ErrorStatus:
    """Return the statuses of `error`."""
    return STATUS_OF.get(type(error), _FAULT) if isinstance(error, Exception) else _FAULT


def advice_of(error: Exception) -> list[tuple[bytes, bytes]]:
    """Return the HTTP headers that tell a program what happened and what to do next."""
    headers = [(ERROR_HEADER.encode(), type(error).__name__.encode())]
    if isinstance(error, Overloaded | RewardsNotCounted | RowNotConfirmed):
        headers.append((b"retry-after", b"1"))
    if isinstance(error, RateLimited):
        headers.append((b"retry-after", str(max(1, math.ceil(error.retry_after_s))).encode()))
    if isinstance(error, Unauthenticated):
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, WrongMethod):
        headers.append((b"allow", error.allow.encode()))
    return headers
