"""The Protocol of a store. Every implementation passes the same test suite.

All methods block and are called from threads, never on the request path. They raise `StoreUnavailable` when the
store cannot be reached.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from control.keys import ApiKey
from router.document import Document


@dataclass(frozen=True, slots=True)
class Change:
    """Who asked for a version of a document, when (seconds since the epoch), what was asked and why."""

    who: str
    at_s: float
    what: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One version of a document and how it came to be."""

    document: Document
    change: Change


@dataclass(frozen=True, slots=True)
class Report:
    """What one replica says of itself; `routes` maps each route to the document version it serves."""

    replica: str
    pid: int
    at_s: float
    started_s: float
    snapshot_hash: str
    routes: Mapping[str, int] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)


class Store(Protocol):
    """Documents, replica reports and API keys."""

    def revision(self) -> int:
        """A number that grows with every written document; cheap enough to be asked several times a second."""

    def routes(self) -> Sequence[str]:
        """The name of every declared route."""

    def documents(self) -> Mapping[str, Document]:
        """The newest version of every route's document.

        Raises:
            Corrupt: a stored document cannot be read back.
        """

    def read(self, route: str) -> Entry | None:
        """The newest version of one route's document, or None."""

    def compare_and_set(self, document: Document, change: Change) -> None:
        """Writes `document` if the stored one is at exactly the version before it.

        Raises:
            Conflict: it is not; nothing was written.
        """

    def history(self, route: str, limit: int) -> Sequence[Entry]:
        """The newest `limit` versions, newest first."""

    def report(self, report: Report) -> None:
        """Replaces what this replica said last."""

    def retire(self, replica: str) -> None:
        """Forgets a replica that has ended in good order."""

    def reports(self) -> Sequence[Report]:
        """What every replica said last, by name."""

    def keys_revision(self) -> int:
        """A number that grows with every key that is added or revoked; as cheap to ask as `revision`."""

    def keys(self) -> Sequence[ApiKey]:
        """Every key, revoked and expired ones included, the oldest first.

        A key that cannot be read back is left out: it opens nothing until it is repaired, and the others still do.
        """

    def add_key(self, key: ApiKey) -> bool:
        """Keeps a new key; False, and nothing written, if there is one with its id."""

    def revoke_key(self, key_id: str, at_s: float) -> ApiKey | None:
        """The key, revoked for good; the first time counts. None if there is no such key."""

    def close(self) -> None:
        """Releases connections."""
