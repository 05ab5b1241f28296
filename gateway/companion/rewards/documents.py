"""By what a reward is judged: the metrics of the document's version that was in force when the decision was made."""

import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import NamedTuple, Protocol

from gateway.control.last_known import StoreState
from gateway.inference.decision_token import Decision, Declared, declared
from inference_log.record import RewardContext
from router.compile import references
from router.document.document import Document
from router.errors import Corrupt
from store.interface import Store

CONTEXTS_KEPT = 4096
"""How many (route, life, policy version, arm) are remembered."""

_Key = tuple[str, int, int, str]


class RewardRefused(Exception):
    """A reward that counts nowhere. The sentence says why."""


class Known(Protocol):
    """What the companion knows of the store."""

    @property
    def state(self) -> StoreState:
        """The last state of the store that was believed."""


class _Current(NamedTuple):
    """The routes at one revision, and their lives."""

    number: int
    identity: str
    documents: Mapping[str, Document]


class RewardDocuments:
    """Finds the context of each reward. Any thread may use it.

    Each context is one object for as long as it is remembered, so the log has it once in each segment.
    """

    def __init__(self, store: Store, known: Known, capacity: int = CONTEXTS_KEPT) -> None:
        self._store = store
        self._known = known
        self._capacity = capacity
        self._state: StoreState | None = None
        self._current = _Current(0, "", {})
        self._contexts: OrderedDict[_Key, RewardContext] = OrderedDict()
        self._lock = threading.Lock()

    def declared(self, routes: Collection[str] | None) -> Declared:
        """Return the routes that are declared, for `open_token`; only those in `routes`, unless it is None."""
        documents = self._now().documents
        if routes is None:
            return declared({route: document.declared_us for route, document in documents.items()})
        found = {route: documents[route].declared_us for route in routes if route in documents}
        return declared(found)

    def life_us(self, route: str) -> int | None:
        """Return the life of a route, or None if it is not declared."""
        document = self._now().documents.get(route)
        return None if document is None else document.declared_us

    def look(self) -> bool:
        """Ask the store whether it has something newer than what is known, and read it. Return True if it had.

        A route may be declared, and asked for predictions, just before its first rewards come.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        current, revision = self._now(), self._store.revision()
        is_other = current.identity not in ("", revision.identity)  # a store has no identity before its first route
        if is_other or revision.number <= current.number:
            return False
        try:
            documents = self._store.documents()
        except Corrupt:  # the others will be known in a second
            return False
        self._current = _Current(revision.number, revision.identity, documents)
        return True

    def context(self, decision: Decision) -> RewardContext:
        """Return the context of the rewards of a decision.

        Raises:
            RewardRefused: there is no such version of the document, or of the arm.
            StoreUnavailable: the store does not answer.
        """
        key = (decision.route, decision.declared_us, decision.policy_version, decision.arm)
        with self._lock:
            found = self._contexts.get(key)
            if found is not None:
                self._contexts.move_to_end(key)
                return found
        context = _context(self._document(decision), decision)
        with self._lock:
            self._contexts[key] = context = self._contexts.get(key, context)
            while len(self._contexts) > self._capacity:
                self._contexts.popitem(last=False)
            return context

    def _now(self) -> _Current:
        """Return what is known now: what the companion has read, or what was read here since."""
        state, current = self._known.state, self._current
        if state is self._state:
            return current
        self._state = state
        revision = state.revision
        if revision.identity != current.identity or revision.number >= current.number:
            documents = {route: entry.document for route, entry in state.entries.items()}
            self._current = _Current(revision.number, revision.identity, documents)
        return self._current

    def _document(self, decision: Decision) -> Document:
        route, version = decision.route, decision.policy_version
        current = self._now().documents.get(route)
        if current is not None and (current.version, current.declared_us) == (version, decision.declared_us):
            return current
        try:
            entry = self._store.version(route, version)
        except Corrupt as error:
            raise RewardRefused(f"Version {version} of route {route}, which made the decision: {error}") from error
        if entry is None or entry.document.declared_us != decision.declared_us:
            raise RewardRefused(
                f"The store no longer has version {version} of route {route}, by which the decision was made."
            )
        return entry.document


def _context(document: Document, decision: Decision) -> RewardContext:
    arm = references(document).get(decision.arm)
    if arm is None or arm.version is None:
        raise RewardRefused(f"Version {document.version} of route {document.spec.route} has no arm {decision.arm}.")
    return RewardContext(
        number=0,
        route=document.spec.route,
        declared_us=document.declared_us,
        policy_version=document.version,
        arm=decision.arm,
        model_version=arm.version,
        metrics=document.spec.metrics,
        maximised=document.spec.maximised,
        weighing=document.spec.weighing,
    )
