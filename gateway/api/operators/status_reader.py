"""Gathers what status says, from the store or, while it is away, from what this replica knows. Acts on the store."""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway.api.operators.responses import Status, StoreState, StoreStatus
from gateway.api.operators.status import is_counted, status
from gateway.control.binding import candidate_of
from gateway.control.observer import Observation, Observer
from gateway.control.replica_view import ReplicaView
from registry_sync.catalogue import Catalogue
from registry_sync.errors import RegistryError
from router.document.document import Document
from router.errors import Corrupt
from router.snapshot import references
from runtimes.errors import ModelRefused
from store.errors import StoreUnavailable
from store.interface import Report, Store


class StatusReader:
    """One per replica; used by many threads."""

    def __init__(self, store: Store, catalogue: Catalogue, view: ReplicaView) -> None:
        self._store = store
        self._catalogue = catalogue
        self._view = view
        self._observer = Observer(store)
        self._lock = threading.Lock()  # of the observer, which is one thread's at a time

    def take(self, now_s: float) -> Status:
        """What there is to say now (seconds since the epoch), whatever the store does."""
        known: Mapping[str, Document] = self._view.documents
        trouble = self._view.trouble
        evidence: Mapping[str, Observation] = {}
        try:
            reports: Sequence[Report] = self._store.reports()
            if not trouble:
                known = self._documents()
                evidence = self._evidence(known, now_s)
        except StoreUnavailable as error:
            return status(self._store_status("UNREACHABLE", str(error)), known, [self._view.report()], {}, now_s)
        return status(self._store_status("LOST" if trouble else "REACHABLE", trouble), known, reports, evidence, now_s)

    def _store_status(self, state: StoreState, trouble: str) -> StoreStatus:
        stale_s = max(0.0, time.monotonic() - self._view.store_contact_s)
        return StoreStatus(state=state, trouble=trouble, stale_s=round(stale_s, 3))

    def _documents(self) -> Mapping[str, Document]:
        """One damaged document hides none of the others: then they are those that this replica has read."""
        try:
            return self._store.documents()
        except Corrupt:
            return self._view.documents

    def _evidence(self, documents: Mapping[str, Document], now_s: float) -> dict[str, Observation]:
        evidence = {}
        with self._lock:
            for route, document in documents.items():
                if is_counted(document):
                    try:
                        evidence[route] = self._look(document, now_s)
                    except Corrupt:  # an earlier version of this route's document cannot be read; others can
                        continue
        return evidence

    def _look(self, document: Document, now_s: float) -> Observation:
        refs = references(document)
        try:
            versions = {arm: candidate_of(self._catalogue, refs[arm]).version for arm in document.spec.guarded_arms}
        except (RegistryError, ModelRefused):  # which version serves an arm cannot be told: the rest still can
            unguarded = replace(document, spec=replace(document.spec, guardrails=()))
            return self._observer.look(unguarded, {}, now_s)
        return self._observer.look(document, versions, now_s)
