"""Reads what status shows: from the store or, while the store does not answer, from what this replica knows."""

import threading
import time
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace

from gateway.api.operators.responses import ReplicaStatus, Status, StoreState, StoreStatus
from gateway.api.operators.status import is_counted, replica_views, status_view
from gateway.control.binding import candidate_of
from gateway.control.observer import Observation, Observer
from gateway.control.replica_view import ReplicaView
from gateway.control.step_clock import read_observed_s
from registry_sync.catalogue import Catalogue
from registry_sync.errors import RegistryError
from router.document.document import Candidate, Document
from router.errors import Corrupt
from router.snapshot import references
from runtimes.errors import ModelRefused
from store.errors import StoreUnavailable
from store.interface import Report, Store


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

    def read(self, now_s: float) -> Status:
        """Return the status at `now_s` (seconds since the epoch). A store that does not answer is no error."""
        known: Mapping[str, Document] = self._view.documents
        trouble = self._view.trouble
        evidence: Mapping[str, Observation] = {}
        observed_s: Mapping[str, float] = {}
        try:
            reports: Sequence[Report] = self._store.reports()
            if not trouble:
                known = self._documents()
                evidence = self._evidence(known, now_s)
                observed_s = {route: read_observed_s(self._store, document) for route, document in known.items()}
        except StoreUnavailable as error:
            store = self._store_status("UNREACHABLE", str(error))
            return status_view(store, known, [self._view.report()], {}, now_s=now_s, serving=self._serving(known))
        store = self._store_status("LOST" if trouble else "REACHABLE", trouble)
        serving = self._serving(known)
        return status_view(store, known, reports, evidence, now_s=now_s, serving=serving, observed_s=observed_s)

    def read_replicas(self, now_s: float, routes: Container[str] | None = None) -> list[ReplicaStatus]:
        """Return the part of the status that is about the replicas, and about these routes (None: all).

        This reads no document and no sums.
        """
        try:
            reports: Sequence[Report] = self._store.reports()
        except StoreUnavailable:
            reports = [self._view.report()]
        return replica_views(reports if routes is None else [_only(report, routes) for report in reports], now_s)

    def _store_status(self, state: StoreState, trouble: str) -> StoreStatus:
        stale_s = max(0.0, time.monotonic() - self._view.store_contact_s)
        return StoreStatus(state=state, trouble=trouble, stale_s=round(stale_s, 3))

    def _serving(self, routes: Iterable[str]) -> dict[str, Mapping[str, Candidate]]:
        serving = {route: self._view.candidates(route) for route in routes}
        return {route: arms for route, arms in serving.items() if arms is not None}

    def _documents(self) -> Mapping[str, Document]:
        """Return the store's documents. If one is damaged, return those that this replica has read before."""
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
                        evidence[route] = self._observe(document, now_s)
                    except Corrupt:  # an earlier version of this document cannot be read; other routes are not affected
                        continue
        return evidence

    def _observe(self, document: Document, now_s: float) -> Observation:
        refs = references(document)
        try:
            versions = {arm: candidate_of(self._catalogue, refs[arm]).version for arm in document.spec.guarded_arms}
        except (RegistryError, ModelRefused):  # the version of an arm is unknown: show the counts without guardrails
            unguarded = replace(document, spec=replace(document.spec, guardrails=()))
            return self._observer.look(unguarded, {}, now_s)
        return self._observer.look(document, versions, now_s)


def _only(report: Report, routes: Container[str]) -> Report:
    """Return the part of a report that is about these routes."""
    return replace(
        report,
        routes={route: version for route, version in report.routes.items() if route in routes},
        problems={route: why for route, why in report.problems.items() if route in routes},
        warnings={route: why for route, why in report.warnings.items() if route in routes},
    )
