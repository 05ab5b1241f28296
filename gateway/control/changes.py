"""Changes documents: reads the newest, applies a pure command, writes with compare-and-set. Acts on the store.

Operators and the gateway itself change documents the same way, here. Who has not said which version he means is
repeated when somebody else was quicker; who has gets a Conflict.
"""

import random
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from gateway.control.binding import bind
from registry_sync.catalogue import Catalogue
from registry_sync.errors import RegistryError
from router.document.commands import Abort, Command, Declare, Shift, Undo, apply
from router.document.document import Candidate, Document
from router.document.quarantine import refuse_quarantined
from router.draw.layers import check_exclusive
from router.errors import Rejected, UnknownRoute
from router.snapshot import references
from router.spec.spec import ArmRef, RouteSpec
from runtimes.errors import ModelRefused
from store.errors import Conflict, Moved, StoreUnavailable
from store.interface import Change, Entry, Store

OURSELVES = "pointsman"
"""Who makes the changes that nobody asks for."""

_PATIENCE_S = 5.0
_MOST_PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class Note:
    """Who asks for a change, what he asks, and why."""

    who: str
    what: str
    why: str = ""


class Changes:
    """One per replica; used by many threads.

    `trouble` says why the store is not to be changed, or is empty; `candidates` what serves a route's arms.
    """

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        replica: str,
        trouble: Callable[[], str],
        candidates: Callable[[str], Mapping[str, Candidate] | None] = lambda _: None,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._replica = replica
        self._trouble = trouble
        self._candidates = candidates
        # The threads of one replica take turns; against other replicas there is compare-and-set.
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)

    def change(self, route: str, ask: Callable[[Document], Command], note: Note, expected: int | None = None) -> Entry:
        """Makes what `ask` makes of the newest document the next one; `expected` is the version that the asker knows.

        Raises:
            UnknownRoute: there is no such route.
            Rejected: the command is not allowed on this document.
            Conflict: somebody was quicker; nothing was changed.
            StoreUnavailable: the store cannot be changed.
            UnknownModel, ModelRefused, RegistryUnavailable: what has to be looked up cannot be had.
        """
        self._refuse_in_trouble()
        until_s = time.monotonic() + _PATIENCE_S
        with self._locks[route]:
            while True:
                known = self.existing(route)
                if expected is not None and known.document.version != expected:
                    raise Conflict(route, expected, known.document.version)
                command = ask(known.document)
                changed = apply(known.document, command)
                if isinstance(command, Shift | Undo):
                    self._refuse_quarantined(changed)
                elif isinstance(command, Abort):
                    with suppress(RegistryError, ModelRefused):  # an abort must not depend on the registry
                        self._refuse_quarantined(changed)
                entry = self._entry(changed, note)
                at = self._layers_at([entry]) if isinstance(command, Undo) else None
                try:
                    self._store.compare_and_set([entry], at)
                except Conflict as error:
                    is_news = expected is not None and not isinstance(error, Moved)
                    if is_news or time.monotonic() > until_s:
                        raise
                    time.sleep(random.uniform(0, _MOST_PAUSE_S))  # noqa: S311  # so that two do not meet again
                else:
                    return entry

    def declare(self, specs: Sequence[RouteSpec], expected: Mapping[str, int], note: Note) -> list[Entry]:
        """Declares several routes, all or none; `expected` names the versions that the asker knows, 0 for none.

        Raises:
            Rejected: a declaration is not allowed.
            Conflict: somebody was quicker; nothing was changed.
            StoreUnavailable: the store cannot be changed.
            UnknownModel, ModelRefused, RegistryUnavailable: a version that an arm is bound to cannot be served.
        """
        self._refuse_in_trouble()
        entries = []
        for spec in specs:
            known = self._store.read(spec.route)
            version = known.document.version if known else 0
            if version != expected[spec.route]:
                raise Conflict(spec.route, expected[spec.route], version)
            document = apply(known.document if known else None, Declare(spec, time.time()))
            self._require_all(document)
            entries.append(self._entry(document, note))
        self._store.compare_and_set(entries, self._layers_at(entries))
        return entries

    def serving(self, route: str) -> Mapping[str, Candidate]:
        """What serves each arm of a route on this replica now; nothing if the route is not served here."""
        return self._candidates(route) or {}

    def existing(self, route: str) -> Entry:
        """The newest document.

        Raises:
            UnknownRoute: there is none.
        """
        entry = self._store.read(route)
        if entry is None:
            self._refuse_in_trouble()  # it may be there after all
            there = ", ".join(sorted(self._store.routes())) or "none"
            raise UnknownRoute(f"There is no route {route!r}; there are {there}.")
        return entry

    def version(self, route: str, version: int) -> Document:
        """An earlier document.

        Raises:
            Rejected: there is none of that version.
        """
        entry = self._store.version(route, version)
        if entry is None:
            raise Rejected(f"Route {route} has no version {version}; `pointsman history {route}` lists what there is.")
        return entry.document

    def _require_all(self, document: Document) -> None:
        """Of several routes, the sentence says which one."""
        try:
            without = bind(self._catalogue, document, retry=True).without
            if without:
                raise Rejected(" ".join(without.values()))
        except (Rejected, RegistryError, ModelRefused) as error:
            raise type(error)(f"Route {document.spec.route}: {error}") from error

    def require_loadable(self, document: Document) -> None:
        """Makes sure that this replica could serve the document.

        Raises:
            Rejected, UnknownModel, ModelRefused, RegistryUnavailable: it could not.
        """
        bind(self._catalogue, document)

    def named_now(self, ref: ArmRef) -> Candidate:
        """The version that a reference names, by the registry's own word of this moment.

        Raises:
            UnknownModel, ModelRefused, RegistryUnavailable: it cannot be told.
        """
        key, _ = self._catalogue.resolve_now(ref)
        return Candidate(key.version, key.digest)

    def candidate(self, ref: ArmRef) -> Candidate:
        """The version that a reference names right now, as far as is known.

        Raises:
            UnknownModel, ModelRefused, RegistryUnavailable: it cannot be told.
        """
        key, _ = self._catalogue.resolve(ref)
        return Candidate(key.version, key.digest)

    def _refuse_quarantined(self, document: Document) -> None:
        """Only where there is a quarantine is the registry asked: a shift should not depend on it."""
        if document.quarantine:
            spec, refs, weights = document.spec, references(document), document.weights
            asked = {arm for arm in spec.arms if weights[arm] or (spec.is_exclusive and arm == spec.trusted_arm)}
            nothing = Candidate("", "")
            bound = {arm: self.candidate(refs[arm]) if arm in asked else nothing for arm in spec.arms}
            refuse_quarantined(document, bound)

    def _layers_at(self, entries: Sequence[Entry]) -> int | None:
        """Where the store must still be, so that no other route has got a part of these routes' layers meanwhile.

        None if they have none.

        Raises:
            Rejected: another route has it already.
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
            who=note.who, at_s=time.time(), what=note.what, why=note.why, id=uuid.uuid4().hex, by=self._replica
        )
        return Entry(document, change)

    def _refuse_in_trouble(self) -> None:
        trouble = self._trouble()
        if trouble:
            raise StoreUnavailable(trouble)
