"""What the gateway refuses or cannot do, and the one table that gives each class its HTTP and its gRPC status.

GatewayError
├── BadRequest            the request is malformed or does not fit the model
├── Unauthenticated       the caller did not say who he is, or not credibly
├── Forbidden             the caller is known, but may not do this
├── RateLimited           the caller asks more often than his key allows
├── TooLarge              the body is larger than allowed
├── UnknownService        the health of a service was asked for that is not served
├── WrongMethod           the path is right, the method is not
├── PreconditionMissing   a change does not say which version it replaces
├── Overloaded            too many requests in flight; try again soon
├── NotReady              the route exists, but is not being served now
├── ArmDown               the arm failed so often that it is left alone for a moment
├── TooLate               the deadline passed before an answer was there
├── ClientGone            nobody waits for the answer any more
└── EngineFailed          what runs the replicas did not start
"""

import math
from typing import NamedTuple

from registry_sync.errors import RegistryUnavailable, UnknownModel
from router.errors import Corrupt, Rejected, UnknownRoute, UnknownVersion
from runtimes.errors import InputRefused, ModelFailed, ModelRefused
from store.errors import Conflict, Foreign, Moved, StoreUnavailable


class GatewayError(Exception):
    """Base of everything the gateway itself raises; the message is a sentence for the caller."""


class BadRequest(GatewayError):
    """The request is malformed or does not fit the model's signature."""


class Unauthenticated(GatewayError):
    """No credentials, or credentials that are not valid."""


class Forbidden(GatewayError):
    """The credentials are valid, but their scopes or routes do not cover what is asked."""


class RateLimited(GatewayError):
    """The caller's key has used its rate up; `retry_after_s` says when it may ask again."""

    def __init__(self, sentence: str, retry_after_s: float) -> None:
        super().__init__(sentence)
        self.retry_after_s = retry_after_s


class TooLarge(GatewayError):
    """The body is larger than allowed."""


class UnknownService(GatewayError):
    """The health of a service was asked for that is not served here."""


class WrongMethod(GatewayError):
    """The path does not take this method."""


class PreconditionMissing(GatewayError):
    """A change needs If-Match (or If-None-Match: *) so that nobody overwrites what he has not seen."""


class Overloaded(GatewayError):
    """Too many requests are in flight."""


class NotReady(GatewayError):
    """The route is declared, but its versions are not loaded here."""


class ArmDown(GatewayError):
    """The arm's circuit breaker is open: it has failed too often lately to be asked."""


class TooLate(GatewayError):
    """The deadline passed, or so little time is left that an answer could not make it."""


class ClientGone(GatewayError):
    """The client closed its connection or cancelled its call before the answer was there."""


class EngineFailed(GatewayError):
    """What runs the replicas did not start."""


ERROR_HEADER = "x-error"
"""Names the class of the error on every answer that is one. Missing from a 5xx, it was a fault of the gateway."""


class ErrorStatus(NamedTuple):
    """What an error class is called on the wire: in HTTP, and in gRPC (the numbers of `grpc.StatusCode`)."""

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
    UnknownRoute: ErrorStatus(404, _NOT_FOUND),
    UnknownVersion: ErrorStatus(404, _NOT_FOUND),
    UnknownService: ErrorStatus(404, _NOT_FOUND),
    WrongMethod: ErrorStatus(405, _UNIMPLEMENTED),
    Conflict: ErrorStatus(409, _ABORTED),
    Moved: ErrorStatus(409, _ABORTED),
    Foreign: ErrorStatus(409, _ABORTED),
    TooLarge: ErrorStatus(413, _RESOURCE_EXHAUSTED),
    InputRefused: ErrorStatus(422, _INVALID_ARGUMENT),
    PreconditionMissing: ErrorStatus(428, _FAILED_PRECONDITION),
    RateLimited: ErrorStatus(429, _RESOURCE_EXHAUSTED),
    Overloaded: ErrorStatus(429, _RESOURCE_EXHAUSTED),
    ClientGone: ErrorStatus(499, _CANCELLED),
    ModelFailed: ErrorStatus(500, _INTERNAL),
    Corrupt: ErrorStatus(500, _INTERNAL),
    ArmDown: ErrorStatus(503, _UNAVAILABLE),
    NotReady: ErrorStatus(503, _UNAVAILABLE),
    StoreUnavailable: ErrorStatus(503, _UNAVAILABLE),
    RegistryUnavailable: ErrorStatus(503, _UNAVAILABLE),
    TooLate: ErrorStatus(504, _DEADLINE_EXCEEDED),
}
"""Statuses by class. A class that is not here is a fault of ours: 500, INTERNAL."""

_FAULT = ErrorStatus(500, _INTERNAL)


def status_of(error: BaseException) -> ErrorStatus:
    """The statuses that say what `error` means."""
    return STATUS_OF.get(type(error), _FAULT) if isinstance(error, Exception) else _FAULT


def advice_of(error: Exception) -> list[tuple[bytes, bytes]]:
    """HTTP headers that tell a program what happened and what to do next."""
    advice = [(ERROR_HEADER.encode(), type(error).__name__.encode())]
    if isinstance(error, Overloaded):
        advice.append((b"retry-after", b"1"))
    if isinstance(error, RateLimited):
        advice.append((b"retry-after", str(max(1, math.ceil(error.retry_after_s))).encode()))
    if isinstance(error, Unauthenticated):
        advice.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, WrongMethod):
        advice.append((b"allow", b"POST"))
    return advice
