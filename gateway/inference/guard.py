"""What the inference service asks of the check of credentials."""

from typing import Protocol

from gateway.protocols.request import Headers


class Guard(Protocol):
    """Decides what a caller may do."""

    def admit(self, headers: Headers, scope: str, route: str | None) -> str:
        """Return the caller's id, which may be empty, if the caller that sent these headers may do this.

        Raises:
            Unauthenticated, Forbidden, RateLimited.
        """

    def check(self, headers: Headers, scope: str, route: str | None) -> None:
        """Do as `admit`, but count no use of a rate.

        Raises:
            Unauthenticated, Forbidden.
        """

    def check_scope(self, headers: Headers, scope: str) -> None:
        """Return if the caller may do this on some route. Count no use of a rate.

        Raises:
            Unauthenticated, Forbidden.
        """
