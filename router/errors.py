"""What the router refuses.

RouterError
├── Rejected        the caller asked for something the document or the route does not allow
├── UnknownRoute    no route of that name is being served
├── UnknownVersion  the route exists, but no arm serves the version, alias or arm that was asked for
└── Corrupt         what was read back from a store is not a valid document
"""


class RouterError(Exception):
    """Base of everything the router raises; the message is a sentence for the caller."""


class Rejected(RouterError):
    """A document or command that is not allowed. Nothing was changed."""


class UnknownRoute(RouterError):
    """No route of that name is served here."""


class UnknownVersion(RouterError):
    """The route has no arm with the version, alias or name that the call asks for."""


class Corrupt(RouterError):
    """A stored document cannot be read back."""
