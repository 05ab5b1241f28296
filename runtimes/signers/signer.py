"""What both kinds of signers have in common."""

from typing import Protocol

SIGNATURE = "model.sig"
STATEMENT_TYPE = "application/vnd.in-toto+json"
"""The type of what is in the envelope. An envelope with something else is refused."""


class Signer(Protocol):
    """One whose signature a version must have."""

    @property
    def how(self) -> str:
        """By what it was signed, after `signed`: `with the key of FILE`."""
        ...

    def statement(self, bundle: bytes) -> bytes:
        """Return the statement in a bundle.

        Raises:
            ModelRefused: this signer has not signed it. The sentence says why.
        """
        ...
