"""Changes documents: reads the newest, applies a pure command to it, writes the result with compare-and-set.

Operators and the gateway itself change documents in this one way. If another writer comes first, a change that names
the version it expects is refused with Conflict. A change that names none is applied again to the newer document.
"""

import random
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from gateway.control.binding import bind, require_released
from gateway.control.durability import require_second_place
from gateway.control.in_force import entry_in_force
from gateway.control.learning.check import check_policy
from gateway.control.named_now import named_now
from gateway.control.redacted_names import require_redacted_names
from gateway.control.version_loader import DetailedVersions, Versions
from gateway.control.view import View
from registry_sync.errors import RegistryError
from router.document.apply import apply
from router.document.commands import Abort, Command, Declare, Promote, Shift, Start, Undo
from router.document.document import Document
from router.draw.layers import check_exclusive
from router.errors import Rejected, UnknownRoute
from router.spec.spec import RouteSpec
from runtimes.errors import ModelRefused
from store.entry import Change, Entry
from store.errors import Conflict, Moved, StoreUnavailable
from store.interface import Store

OURSELVES = "pointsman"
"""The operator name of automatic changes."""

_SPARED = "The version is not in quarantine, because an arm that takes over serves it, too."
_PATIENCE_S = 5.0
_MOST_PAUSE_S = 0.02
_LOCK_PATIENCE_S = 0.5
_LOCKS = 64


@dataclass(frozen=True, slots=True)
class Note:
    """The author of a change, the command, and the reason. `id` names the change; without one it gets a random id."""

    who: str
    what: str
    why: str = ""
    id: str = ""


class Changes:
    """One per process; used by many threads. A route `may_be_strict` if the log is in a second place.

    `versions` waits for a version until it is loaded. `known` does not wait, and is what an abort asks.
    """

    def __init__(
        self,
        store: Store,
        versions: DetailedVersions,
        replica: str,
        view: View,
        known: Versions | None = None,
        *,
        may_be_strict: bool = False,
    ) -> None:
        self._store = store
        self._versions = versions
        self._known = known or versions
        self._replica = replica
        self._view = view
        self._may_be_strict = may_be_strict
        # Threads of one process wait for each other here; processes are kept apart by compare-and-set. Routes share
        # locks: one for each name that an operator sends would stay for ever.
        self._locks = [threading.Lock() for _ in range(_LOCKS)]

    def change(
        self, route: str, command_for: Callable[[Document], Command], note: Note, expected: int | None = None
    ) -> Entry:
        """Apply the command that `command_for` makes for the newest document, and write the result.

        `expected` is the version that the caller has seen; None accepts any.

        Raises:
            UnknownRoute: there is no such route.
            Rejected: the command is not allowed on this document.
            Conflict: another writer came first; nothing was changed.
            StoreUnavailable: the store cannot be changed.
            UnknownModel, ModelRefused, RegistryUnavailable: a version that has to be looked up cannot be found.
        """
        self._refuse_in_trouble()
        until_s = time.monotonic() + _PATIENCE_S
        lock = self._locks[hash(route) % _LOCKS]
        # A thread that holds it may wait for the registry. An abort must not: compare-and-set keeps writers apart.
        is_mine = lock.acquire(timeout=_LOCK_PATIENCE_S)
        try:
            while True:
                entry, at = self._next(route, command_for, note, expected)
                try:
                    self._store.compare_and_set([entry], at)
                except Conflict as error:
                    has_news = expected is not None and not isinstance(error, Moved)
                    if has_news or time.monotonic() > until_s:
                        raise
                    time.sleep(random.uniform(0, _MOST_PAUSE_S))  # noqa: S311  # so that two writers drift apart
                else:
                    return entry
        finally:
            if is_mine:
                lock.release()

    def declare(self, specs: Sequence[RouteSpec], expected: Mapping[str, int], note: Note) -> list[Entry]:
        """Declare several routes, all or none. `expected` maps each to the version that the caller has seen, or 0.

        An arm of a split whose version is in quarantine keeps no traffic, whatever its declared weight.

        Raises:
            Rejected: a declaration is not allowed.
            Conflict: another writer came first; nothing was changed.
            StoreUnavailable: the store cannot be changed.
            UnknownModel, ModelRefused, RegistryUnavailable: a version that an arm is bound to cannot be served.
        """
        self._refuse_in_trouble()
        entries: list[Entry] = []
        written: list[Entry] = []
        for spec in specs:
            check_policy(spec)
            require_second_place(spec, is_there=self._may_be_strict)
            known = entry_in_force(self._store, spec.route)
            version = known.document.version if known else 0
            if version != expected[spec.route]:
                raise Conflict(spec.route, expected[spec.route], version)
            named = named_now(self._versions, known.document if known else None, spec)
            document = apply(known.document if known else None, Declare(spec, time.time(), named))
            if known and document.spec != spec and replace(document, version=version) == known.document:
                entries.append(known)  # all that is new in the declaration is traffic for a version in quarantine
                continue
            self._bind_all(document)
            entries.append(self._entry(document, note))
            written.append(entries[-1])
        if written:
            self._store.compare_and_set(written, self._layers_at(written))
        return entries

    def existing(self, route: str) -> Entry:
        """Return the newest document.

        Raises:
            UnknownRoute: there is none.
        """
        entry = entry_in_force(self._store, route)
        if entry is None:
            self._refuse_in_trouble()  # a store in trouble may have lost the route
            there = ", ".join(sorted(self._store.routes())) or "none"
            raise UnknownRoute(f"There is no route {route!r}; there are {there}.")
        return entry

    def version(self, route: str, version: int) -> Document:
        """Return an earlier document.

        Raises:
            Rejected: there is none of that version.
        """
        entry = self._store.version(route, version)
        if entry is None:
            raise Rejected(f"Route {route} has no version {version}; `pointsman history {route}` lists what there is.")
        return entry.document

    def _next(
        self, route: str, command_for: Callable[[Document], Command], note: Note, expected: int | None
    ) -> tuple[Entry, int | None]:
        """Return what to write next, and the revision at which the store must still be; None if at any."""
        known = self.existing(route)
        if expected is not None and known.document.version != expected:
            raise Conflict(route, expected, known.document.version)
        command = command_for(known.document)
        if isinstance(command, Abort):
            changed, note = self._aborted(known.document, command, note)
        else:
            changed = apply(known.document, command)
        if isinstance(command, Shift | Undo) or (changed.spec.learns and isinstance(command, Start | Promote)):
            require_released(self._versions, changed)
        entry = self._entry(changed, note)
        return entry, self._layers_at([entry]) if isinstance(command, Undo) else None

    def _aborted(self, document: Document, command: Abort, note: Note) -> tuple[Document, Note]:
        """Return the document without the arm's traffic, and what the history says of it.

        An abort is always possible. If an arm that takes over serves the same version and was bound to no other before,
        the version is not put in quarantine: the route would have nothing left to answer with.
        """
        changed = apply(document, command)
        serving = self._view.candidates(document.spec.route) or {}
        try:
            require_released(self._known, changed, serving)
        except (RegistryError, ModelRefused):  # an abort must not depend on the registry
            return changed, note
        except Rejected:
            spared = apply(document, replace(command, is_held=False))
            with suppress(RegistryError, ModelRefused, Rejected):
                require_released(self._known, spared, serving)
                return spared, replace(note, why=f"{note.why} {_SPARED}".strip())
        return changed, note

    def _bind_all(self, document: Document) -> None:
        """Load every arm and shadow. The error sentence names the route, for several may be declared at once."""
        try:
            binding = bind(self._versions, document, retry=True)
            if binding.without:
                raise Rejected(" ".join(binding.without.values()))
            require_redacted_names(document.spec, next(iter(binding.arms.values())).manifest.signature)
        except (Rejected, RegistryError, ModelRefused) as error:
            raise type(error)(f"Route {document.spec.route}: {error}") from error

    def _layers_at(self, entries: Sequence[Entry]) -> int | None:
        """Return the revision at which no other route has a part of these routes' layers; None if they have none.

        Written at this revision only, the routes cannot overlap with one that is declared in the meantime.

        Raises:
            Rejected: another route has a part of a layer already.
        """
        changed = {entry.document.spec.route: entry.document for entry in entries}
        if all(document.spec.layer is None for document in changed.values()):
            return None
        at = self._store.revision().number
        layers = {
            route: document.spec.layer
            for route, document in {**self._store.documents(), **changed}.items()
            if document.spec.layer is not None
        }
        check_exclusive(layers)
        return at

    def _entry(self, document: Document, note: Note) -> Entry:
        change = Change(
            who=note.who,
            at_s=time.time(),
            what=note.what,
            why=note.why,
            id=note.id or uuid.uuid4().hex,
            by=self._replica,
        )
        return Entry(document, change)

    def _refuse_in_trouble(self) -> None:
        trouble = self._view.trouble
        if trouble:
            raise StoreUnavailable(trouble)
