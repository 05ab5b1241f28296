"""The documents that the store wants this replica to serve, as far as the store can be believed.

A store that was emptied, replaced or set back is not believed. The replica goes on with the documents it knows, reports
the trouble, and can put them back into the store (`restore`). So a store server that lost its data takes no route away.
"""

from collections.abc import Container, Mapping, Sequence

from gateway.control.last_known import LastKnownFile, StoreState
from gateway.control.learned_file import LearnedFile
from router.document.document import Document
from router.document.learned import LearnedPolicy, with_learned
from router.errors import Corrupt
from store.api_key import ApiKey
from store.entry import Entry
from store.interface import Store
from store.policies import Policies
from store.revision import Marks, Revision

_LOST = "`pointsman restore` puts back what the replicas serve; until then nothing can be changed."
_MOST_CHANGES = 256
"""If there are more changes than this, all documents are read instead."""
_OF_A_FILE = -1
"""The revision of policies that were read from a file: any that a store has is newer."""


class DesiredState:
    """One per process; changed by one thread, read by others.

    `known` is the last state of the store that was believed. `trouble` is why the store is not believed now, or empty.
    `corrupt` gives the reason for each route whose document cannot be read. `was_read` is True once the store has
    answered since the start. `marks` are what it has answered last. Only if `may_adopt`, another store than the last
    known one is believed after a start.
    """

    def __init__(
        self,
        store: Store,
        last_known: LastKnownFile | None,
        learned: LearnedFile | None = None,
        *,
        may_adopt: bool = True,
    ) -> None:
        self.trouble = ""
        self.known = StoreState() if last_known is None else last_known.load()
        self.corrupt: Mapping[str, str] = {}
        self.was_read = False
        self._store = store
        self._last_known = last_known
        self._may_adopt = may_adopt
        self.marks = Marks(Revision("", 0), 0, 0, 0)
        self._keys_revision = -1
        identity = self.known.revision.identity
        self._policies = Policies(_OF_A_FILE, {} if learned is None else learned.load(identity))

    @property
    def documents(self) -> dict[str, Document]:
        """The newest documents, by route, with the weights that bandits have learned."""
        learned = self._policies.of
        return {route: with_learned(entry.document, learned.get(route)) for route, entry in self.known.entries.items()}

    @property
    def policies(self) -> Mapping[str, LearnedPolicy] | None:
        """The newest learned policies of the routes that are there, by route; None until the store has told them."""
        if self._policies.revision == _OF_A_FILE:
            return None
        entries = self.known.entries
        return {
            route: policy
            for route, policy in self._policies.of.items()
            if route in entries and entries[route].document.declared_us == policy.declared_us
        }

    def look(self) -> bool:
        """Read the store. Return True if something is new since the last look.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        self.marks = self._store.marks()
        has_documents = self._look_for_documents()
        has_policies = not self.trouble and self._look_for_policies()
        return has_documents or has_policies

    def _look_for_policies(self) -> bool:
        """Read what bandits have learned, if there are any. Return True if something is new."""
        if all(entry.document.learning is None for entry in self.known.entries.values()):
            return False
        known = self._policies
        if self.marks.policies == known.revision:
            return False
        if known.revision == _OF_A_FILE:
            known = Policies(_OF_A_FILE, {})
        read = self._store.policies(max(known.revision, 0))
        if read.revision < known.revision:  # the store has lost them
            read, known = self._store.policies(0), Policies(0, {})
        elif read.revision == known.revision:
            return False
        self._policies = Policies(read.revision, {**known.of, **read.of})
        return True

    def _look_for_documents(self) -> bool:
        revision, known, known_entries = self.marks.revision, self.known.revision, self.known.entries
        is_first = not self.was_read
        trouble = self._distrust(revision, is_first=is_first)
        if trouble or (revision == known and not is_first and not self.trouble):
            self.trouble, self.was_read = trouble, True
            return False
        changed = None if is_first or self.trouble else self._read_changes(revision)
        entries, corrupt = ({**known_entries, **changed}, {}) if changed is not None else self._read_all()
        self.was_read = True
        is_other = revision.identity != known.identity
        behind = [route for route, entry in self.known.entries.items() if _is_behind(entry, entries, corrupt)]
        if behind and not is_other:
            self.trouble = f"The store was set back: of {', '.join(behind)} it has an older version, or none. {_LOST}"
            return False
        if is_other and known.identity and self._last_known is not None:
            self._last_known.set_aside(known.identity)
        kept = {route: entry for route, entry in self.known.entries.items() if route in corrupt and not is_other}
        self.corrupt = corrupt
        self._know(StoreState(revision, kept | entries, self.known.keys))
        self.trouble = ""  # last: until the new state is in place, other threads must see the trouble
        return True

    def look_for_keys(self) -> Sequence[ApiKey] | None:
        """Return the keys if they have changed, as far as the last `look` can tell, or else None.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        revision = self.marks.keys
        if self.trouble or revision == self._keys_revision:
            return None
        keys = self._store.keys()
        self._keys_revision = revision
        self._know(StoreState(self.known.revision, self.known.entries, keys))
        return keys

    def restore(self) -> Sequence[str]:
        """Put the known documents and keys back into the store. Return the routes that were written; none if unknown.

        Raises:
            Conflict: the store has other routes of its own.
            StoreUnavailable: it does not answer.
        """
        known = self.known
        if not known.revision.identity:
            return []
        return self._store.restore(known.revision.identity, list(known.entries.values()), known.keys)

    def _distrust(self, revision: Revision, *, is_first: bool) -> str:
        """Return why the store is not believed, or an empty text.

        After a restart, accept a store with another identity, but not an empty one.
        """
        known = self.known.revision
        adopts = is_first and self._may_adopt and revision.identity
        if not known.identity or revision.identity == known.identity or adopts:
            return ""
        if not revision.identity:
            return f"The store has lost its routes. {_LOST}"
        return (
            "The store has other routes than those that were there before, which this replica goes on serving. "
            "Restart the gateway to serve what the store has now."
        )

    def _read_changes(self, revision: Revision) -> dict[str, Entry] | None:
        """Return what was written since the last look; None if only reading everything can tell.

        The last change that is known is read once more. If the store was set back since, that one is another change.
        """
        known, count = self.known, revision.number - self.known.revision.number
        if self.corrupt or revision.identity != known.revision.identity or not 0 < count <= _MOST_CHANGES:
            return None
        found = self._store.changes(known.revision.number - 1, count + 1)
        if len(found) != count + 1 or found[0].entry != known.entries.get(_route_of(found[0].entry)):
            return None
        return {_route_of(each.entry): each.entry for each in found[1:]}

    def _read_all(self) -> tuple[dict[str, Entry], dict[str, str]]:
        entries: dict[str, Entry] = {}
        corrupt: dict[str, str] = {}
        for route in self._store.routes():
            try:
                entry = self._store.read(route)
            except Corrupt as error:
                corrupt[route] = str(error)
            else:
                if entry is not None:
                    entries[route] = entry
        return entries, corrupt

    def _know(self, known: StoreState) -> None:
        self.known = known
        if self._last_known is not None:
            self._last_known.keep(known)


def _route_of(entry: Entry) -> str:
    return entry.document.spec.route


def _is_behind(known: Entry, entries: Mapping[str, Entry], corrupt: Container[str]) -> bool:
    route = _route_of(known)
    if route not in entries:
        return route not in corrupt
    return entries[route].document.version < known.document.version
