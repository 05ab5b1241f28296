"""Reads what status shows: from the store or, while the store does not answer, from what this replica knows."""

import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from gateway.api.operators.responses import ReplicaStatus, Status, StoreState, StoreStatus
from gateway.api.operators.status import is_counted, replica_views, status_view
from gateway.control.binding import candidate_of
from gateway.control.in_force import documents_in_force
from gateway.control.observer import Observation, Observer
from gateway.control.replica_view import ReplicaView
from gateway.control.step_clock import read_observed_s
from registry_sync.catalogue import Catalogue
from registry_sync.errors import RegistryError
from router.compile import references
from router.document.bindings import binding_of
from router.document.document import Candidate, Document
from router.errors import Corrupt
from runtimes.errors import ModelRefused
from store.errors import StoreUnavailable
from store.interface import Store
from store.report import Report

T = TypeVar("T")


class StatusReader:
    """The reader of one replica, used by many threads."""

    def __init__(
        self,
        *,
        store: Store,
        catalogue: Catalogue,
        view: ReplicaView,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._view = view
        self._observer = Observer(store)
        self._lock = threading.Lock()  # the observer may be used by only one thread at a time

    def read(self, now_s: float, routes: Collection[str] = ()) -> Status:
        """Return the status at `now_s` (seconds since the epoch). A store that does not answer is no error.

        If `routes` are given, the rest of the status is about these only.
        """
        known = _chosen(self._view.documents, routes)
        trouble = self._view.trouble
        evidence: Mapping[str, Observation] = {}
        observed_s: Mapping[str, float] = {}
        try:
            reports = _about(self._store.reports(), routes)
            if not trouble:
                known = _chosen(self._documents(), routes)
                evidence = self._evidence(known, now_s)
                observed_s = read_observed_s(self._store, known.values())
        except StoreUnavailable as error:
            store = self._store_status("UNREACHABLE", str(error))
            own = _about([self._view.report()], routes)
            return status_view(store, known, own, {}, now_s=now_s, serving=self._serving(known))
        store = self._store_status("LOST" if trouble else "REACHABLE", trouble)
        serving = self._serving(known)
        return status_view(store, known, reports, evidence, now_s=now_s, serving=serving, observed_s=observed_s)

    def read_replicas(self, now_s: float, routes: Collection[str] = ()) -> list[ReplicaStatus]:
        """Return the part of the status that is about the replicas. This reads no document and no sums.

        If `routes` are given, what a replica serves and lacks is told of these only.
        """
        try:
            reports: Sequence[Report] = self._store.reports()
        except StoreUnavailable:
            reports = [self._view.report()]
        return replica_views(_about(reports, routes), now_s)

    def _store_status(self, state: StoreState, trouble: str) -> StoreStatus:
        stale_s = max(0.0, time.monotonic() - self._view.store_contact_s)
        return StoreStatus(state=state, trouble=trouble, stale_s=round(stale_s, 3))

    def _serving(self, routes: Iterable[str]) -> dict[str, Mapping[str, Candidate]]:
        serving = {route: self._view.candidates(route) for route in routes}
        return {route: arms for route, arms in serving.items() if arms is not None}

    def _documents(self) -> Mapping[str, Document]:
        """Return the store's documents, from memory if nothing has changed since this replica has read them.

        If one is damaged, return those that this replica has read before.
        """
        known = self._view.documents_at(self._store.revision())
        if known is not None:
            return known
        try:
            return documents_in_force(self._store)
        except Corrupt:
            return self._view.documents

    def _evidence(self, documents: Mapping[str, Document], now_s: float) -> dict[str, Observation]:
        evidence = {}
        with self._lock:
            self._observer.refresh(now_s)
            for route, document in documents.items():
                if is_counted(document):
                    try:
                        evidence[route] = self._observe(document, now_s)
                    except Corrupt:  # an earlier version of this document cannot be read; other routes are not affected
                        continue
        return evidence

    def _observe(self, document: Document, now_s: float) -> Observation:
        """Judge the versions that this replica serves, as the companion does, or else what the arms are bound to.

        An arm of which neither is known gets no finding.
        """
        serving = self._view.candidates(document.spec.route) or {}
        versions = {arm: each.version for arm, each in serving.items()}
        refs = references(document)
        for arm in document.spec.guarded_arms:
            if arm not in versions:
                with suppress(RegistryError, ModelRefused):
                    versions[arm] = (binding_of(document, arm) or candidate_of(self._catalogue, refs[arm])).version
        return self._observer.look(document, versions, now_s)


def _chosen(documents: Mapping[str, Document], routes: Collection[str]) -> Mapping[str, Document]:
    return {name: documents[name] for name in routes if name in documents} if routes else documents


def _about(reports: Sequence[Report], routes: Collection[str]) -> Sequence[Report]:
    """Leave out of the reports what concerns other routes than these, if there are any."""

    def only(by_route: Mapping[str, T]) -> Mapping[str, T]:
        return {name: by_route[name] for name in routes if name in by_route}

    if not routes:
        return reports
    return [
        replace(
            each,
            routes=only(each.routes),
            problems=only(each.problems),
            warnings=only(each.warnings),
            policies=only(each.policies),
        )
        for each in reports
    ]
