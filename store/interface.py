"""The Protocol of a store. Every implementation passes the same test suite.

All methods block and are called from threads, never on the request path. They raise `StoreUnavailable` when the
store cannot be reached. A write that was given up that way is not made later either: a store that wakes up refuses
what has waited for longer than the caller did.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from router.document.document import Document
from router.evidence.sums import Sums
from store.api_key import ApiKey

BUCKETS_KEPT_S = 3600
"""How long sums are kept by bucket, at least."""
VERSIONS_READ = 256
"""Of how many policy versions `sums` gives the sums."""


@dataclass(frozen=True, slots=True)
class Change:
    """Who asked for a version of a document, when (seconds since the epoch), what was asked and why.

    `id` names the attempt, so that one which is repeated because its answer was lost is made once. `by` is the
    replica that made it.
    """

    who: str
    at_s: float
    what: str
    why: str = ""
    id: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One version of a document and how it came to be."""

    document: Document
    change: Change


class Numbered(NamedTuple):
    """An entry and its place in the order of all changes of all routes."""

    number: int
    entry: Entry


class Revision(NamedTuple):
    """Where a store stands. `number` grows by one with every written document.

    `identity` is given to a store with its first document and stays as long as its data: another one, or none, says
    that the data are not those that were there before.
    """

    identity: str
    number: int


@dataclass(frozen=True, slots=True)
class Report:
    """What one replica says of itself; `routes` maps each route to the document version it serves.

    `problems` are by route, `warnings` too: a route with a warning is served, without something. `trouble` is what is
    wrong with the store, as the replica sees it.
    """

    replica: str
    pid: int
    at_s: float
    started_s: float
    snapshot_hash: str
    routes: Mapping[str, int] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    warnings: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""


class Store(Protocol):
    """Documents, what traffic adds up to, replica reports and API keys."""

    def revision(self) -> Revision:
        """Where the store stands; cheap enough to be asked several times a second. Without data: `("", 0)`."""

    def routes(self) -> Sequence[str]:
        """The name of every declared route."""

    def documents(self) -> Mapping[str, Document]:
        """The newest version of every route's document.

        Raises:
            Corrupt: a stored document cannot be read back.
        """

    def read(self, route: str) -> Entry | None:
        """The newest version of one route's document, or None.

        Raises:
            Corrupt: it cannot be read back.
        """

    def compare_and_set(self, entries: Sequence[Entry], at: int | None = None) -> None:
        """Writes all documents or none: each if its route is at exactly the version before it.

        Where `at` is given, the number of the store's revision must still be that, too. To write again what has been
        written (each of these versions is there, and bears the same `Change.id`) is no error and changes nothing, even
        if somebody has written since.

        Raises:
            Conflict: somebody was quicker; nothing was written. `Moved` if `at` was all that did not fit.
        """

    def history(self, route: str, limit: int) -> Sequence[Entry]:
        """The newest `limit` versions, newest first.

        Raises:
            Corrupt: one of them cannot be read back.
        """

    def version(self, route: str, version: int) -> Entry | None:
        """One version of one route's document, or None.

        Raises:
            Corrupt: it cannot be read back.
        """

    def changes(self, after: int, limit: int) -> Sequence[Numbered]:
        """Changes of all routes whose number is greater than `after`, oldest first.

        One that cannot be read back is left out, and does not count for `limit`.
        """

    def audited(self) -> int:
        """The number of the last change that is in the log."""

    def advance_audited(self, before: int, after: int) -> bool:
        """Says that the changes up to `after` are in the log; False, and nothing done, if it was not at `before`."""

    def restore(self, identity: str, entries: Sequence[Entry], keys: Sequence[ApiKey]) -> Sequence[str]:
        """Puts back what a replica knows into a store that has lost it, and gives the store that identity again.

        A document is written where the store has none or an older one, whatever the version; a key where there is
        none of its id. Each is a change with a number of its own. Returns the routes that were written.

        Raises:
            Foreign: the store has documents under another identity; nothing was written.
        """

    def count(self, source: str, before: int, after: int, added: Mapping[str, Sums]) -> int:
        """Adds sums by route, once: if what was counted of `source` ends at exactly `before`, it then ends at `after`.

        Returns where it ends now; if that is not `after`, nothing was added. `before` is 0 for a new source. Keys
        have their bucket of time; what is added counts in the bucket and in the sum over all time. A sum that would
        not fit into 64 bits stays at the largest number that does.
        """

    def counted(self, source: str) -> int:
        """Where what was counted of a source ends."""

    def forget_source(self, source: str) -> None:
        """The source is used up; the caller counts nothing of it any more, and the store forgets where it ended."""

    def sums(self, route: str, since_version: int) -> Sums:
        """Sums over all time, of the policy versions from `since_version` on, of the newest `VERSIONS_READ` at most."""

    def recent_sums(self, route: str, since_s: int) -> Sums:
        """Sums by bucket, of the buckets that begin at `since_s` or later; they are kept for `BUCKETS_KEPT_S`."""

    def await_change(self, timeout_s: float) -> None:
        """Returns when somebody has written a document or key, as far as the store can tell, or after `timeout_s`.

        Raises nothing: a store that is gone is found out by the next question.
        """

    def report(self, report: Report) -> None:
        """Replaces what this replica said last."""

    def retire(self, replica: str) -> None:
        """Forgets a replica that has ended in good order."""

    def reports(self) -> Sequence[Report]:
        """What every replica said last, by name. One that has said nothing for a minute may be left out."""

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
