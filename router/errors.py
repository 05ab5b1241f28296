"""The errors of the router.

The message of each is a sentence for the caller. The gateway's OpenAPI page shows the docstrings.
"""


class RouterError(Exception):
    """The base of everything that the router raises."""


class Rejected(RouterError):
    """A document or command that is not allowed. Nothing was changed."""


class UnknownRoute(RouterError):
    """No route of that name is served here."""


class UnknownVersion(RouterError):
    """The route has no arm with the version, alias or name that the call asks for."""


class Quarantined(RouterError):
    """The request names a version that is in quarantine on this route. It answers no request until it is released."""


class Corrupt(RouterError):
    """What was read back from a store is not a valid document."""
