"""What the gateway refuses or cannot do, and the one table that gives each class its HTTP status.

GatewayError
├── BadRequest            the request is malformed or does not fit the model
├── TooLarge              the body is larger than allowed
├── WrongMethod           the path is right, the method is not
├── PreconditionMissing   a change does not say which version it replaces
├── Overloaded            too many requests in flight; try again soon
├── NotReady              the route exists, but is not being served now
├── TooLate               the deadline passed before an answer was there
└── EngineFailed          what runs the replicas did not start
"""

from control.errors import Conflict, StoreUnavailable
from registry_sync.errors import RegistryUnavailable, UnknownModel
from router.errors import Corrupt, Rejected, UnknownRoute, UnknownVersion
from runtimes.errors import ModelFailed, ModelRefused


class GatewayError(Exception):
    """Base of everything the gateway itself raises; the message is a sentence for the caller."""


class BadRequest(GatewayError):
    """The request is malformed or does not fit the model's signature."""


class TooLarge(GatewayError):
    """The body is larger than allowed."""


class WrongMethod(GatewayError):
    """The path does not take this method."""


class PreconditionMissing(GatewayError):
    """A change needs If-Match (or If-None-Match: *) so that nobody overwrites what he has not seen."""


class Overloaded(GatewayError):
    """Too many requests are in flight."""


class NotReady(GatewayError):
    """The route is declared, but its versions are not loaded here."""


class TooLate(GatewayError):
    """The deadline passed."""


class EngineFailed(GatewayError):
    """What runs the replicas did not start."""


ERROR_HEADER = "x-error"
"""Names the class of the error on every answer that is one. Missing from a 5xx, it was a fault of the gateway."""

STATUS_OF: dict[type[Exception], int] = {
    BadRequest: 400,
    Rejected: 400,
    ModelRefused: 400,
    UnknownModel: 400,
    UnknownRoute: 404,
    UnknownVersion: 404,
    WrongMethod: 405,
    Conflict: 409,
    TooLarge: 413,
    PreconditionMissing: 428,
    Overloaded: 429,
    ModelFailed: 500,
    Corrupt: 500,
    NotReady: 503,
    StoreUnavailable: 503,
    RegistryUnavailable: 503,
    TooLate: 504,
}
"""HTTP status by class. A class that is not here is a fault of ours: 500."""


def status_of(error: BaseException) -> int:
    """The HTTP status that says what `error` means."""
    return STATUS_OF.get(type(error), 500) if isinstance(error, Exception) else 500
