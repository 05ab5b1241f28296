"""What the store wants this replica to serve, as far as the store can be believed. Acts, by reading it.

A store that was emptied, replaced or set back is not believed: the replica stays with what it knows, says so, and
offers it back (`restored`). Nobody's routes vanish because a server lost its memory.
"""

from collections.abc import Container, Mapping, Sequence

from gateway.control.last_known import LastKnownFile, StoreState
from router.document.document import Document
from router.errors import Corrupt
from store.api_key import ApiKey
from store.interface import Entry, Revision, Store

_LOST = "`pointsman restore` puts back what the replicas serve; until then nothing can be changed."


class DesiredState:
    """One per replica, used by one thread, read by others.

    `trouble` is why the store is not believed, or empty; `corrupt` says of routes why they cannot be read; `is_heard`,
    whether the store has answered since the start.
    """

    def __init__(self, store: Store, memory: LastKnownFile | None) -> None:
        self.trouble = ""
        self.known = StoreState() if memory is None else memory.load()
        self.corrupt: Mapping[str, str] = {}
        self.is_heard = False
        self._store = store
        self._memory = memory
        self._keys_revision = -1

    @property
    def documents(self) -> dict[str, Document]:
        """The newest documents, by route."""
        return {route: entry.document for route, entry in self.known.entries.items()}

    def look(self) -> bool:
        """Whether there is something new since the last look.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        revision, known = self._store.revision(), self.known.revision
        is_first = not self.is_heard
        trouble = self._distrust(revision, is_first=is_first)
        if trouble or (revision == known and not is_first and not self.trouble):
            self.trouble, self.is_heard = trouble, True
            return False
        entries, corrupt = self._read()
        self.is_heard = True
        is_other = revision.identity != known.identity
        behind = [route for route, entry in self.known.entries.items() if _is_behind(entry, entries, corrupt)]
        if behind and not is_other:
            self.trouble = f"The store was set back: of {', '.join(behind)} it has an older version, or none. {_LOST}"
            return False
        if is_other and known.identity and self._memory is not None:
            self._memory.set_aside(known.identity)
        kept = {route: entry for route, entry in self.known.entries.items() if route in corrupt and not is_other}
        self.corrupt = corrupt
        self._know(StoreState(revision, kept | entries, self.known.keys))
        self.trouble = ""  # only now: whoever asks meanwhile is told what was true until here
        return True

    def look_for_keys(self) -> Sequence[ApiKey] | None:
        """The keys, if they have changed since the last look.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        revision = self._store.keys_revision()
        if self.trouble or revision == self._keys_revision:
            return None
        keys = self._store.keys()
        self._keys_revision = revision
        self._know(StoreState(self.known.revision, self.known.entries, keys))
        return keys

    def restore(self) -> Sequence[str]:
        """Puts what is known back into the store; the routes that were written, none if nothing is known.

        Raises:
            Conflict: the store has other routes of its own.
            StoreUnavailable: it does not answer.
        """
        known = self.known
        if not known.revision.identity:
            return []
        return self._store.restore(known.revision.identity, list(known.entries.values()), known.keys)

    def _distrust(self, revision: Revision, *, is_first: bool) -> str:
        """Who starts anew takes other routes as they are, but not that there are none."""
        known = self.known.revision
        if not known.identity or revision.identity == known.identity or (is_first and revision.identity):
            return ""
        if not revision.identity:
            return f"The store has lost its routes. {_LOST}"
        return (
            "The store has other routes than those that were there before, which this replica goes on serving. "
            "Restart the gateway to serve what the store has now."
        )

    def _read(self) -> tuple[dict[str, Entry], dict[str, str]]:
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
        if self._memory is not None:
            self._memory.keep(known)


def _is_behind(known: Entry, entries: Mapping[str, Entry], corrupt: Container[str]) -> bool:
    route = known.document.spec.route
    if route not in entries:
        return route not in corrupt
    return entries[route].document.version < known.document.version
