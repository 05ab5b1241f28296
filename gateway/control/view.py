"""What the changes of documents need to know of the process that makes them."""

from collections.abc import Mapping
from typing import Protocol

from router.document.document import Candidate, Document


class View(Protocol):
    """What is known of the store's documents and of what the replicas serve."""

    @property
    def trouble(self) -> str:
        """Why the store is not believed and must not be changed, or empty."""

    @property
    def documents(self) -> Mapping[str, Document]:
        """The newest documents, by route."""

    def candidates(self, route: str) -> Mapping[str, Candidate] | None:
        """Return the version that serves each arm of a route now; None if the route is not served here."""
