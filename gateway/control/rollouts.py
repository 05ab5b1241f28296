"""Lets rollouts advance, and takes bad arms out of traffic. Acts on the store; level-triggered, in a thread.

Every replica looks, some twice a second. What is to be done follows from the document, the sums and the time, and is
written with compare-and-set: whoever is first has done it, and the others find it done.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import structlog

from gateway.control.changes import OURSELVES, Changes, Note
from registry_sync.errors import RegistryError
from router.document.commands import apply
from router.document.document import Candidate, Document
from router.errors import Rejected, RouterError
from router.evidence import guardrails
from router.evidence.due import DueChange, abort_due, follow_due, may_be_due, step_due
from router.evidence.guardrails import GuardrailFinding, findings
from router.evidence.sums import REQUESTS, SumKey, Sums
from runtimes.errors import ModelRefused
from store.errors import Conflict, StoreError
from store.interface import Store

_log = structlog.get_logger()

RECENT_S = 3600
"""How far back sums are looked at by the bucket."""
FRESH_S = 60
"""Of these, what is read again at every look. What comes to older buckets still counts in the totals."""


class Observation(NamedTuple):
    """What is known of a route: its guardrails' findings, and the candidate's requests since its step began."""

    findings: tuple[GuardrailFinding, ...]
    samples: int
    totals: Sums


class Observer:
    """Reads what there is to know of routes. Used by one thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._weights: dict[str, dict[int, Mapping[str, int]]] = defaultdict(dict)
        self._recent: dict[str, Sums] = {}

    def look(self, document: Document, versions: Mapping[str, str], now_s: float) -> Observation:
        """`versions` says which model version serves each arm; `now_s` is seconds since the epoch.

        Raises:
            StoreUnavailable: the store does not answer.
            Corrupt: an earlier document cannot be read back.
        """
        route = document.spec.route
        recent = self._recent_sums(route, int(now_s)) if document.spec.guardrails else {}
        totals = self._store.sums(route, document.trial_version)
        if not _fits(recent, totals, document.trial_version):  # the store has lost what was read before
            del self._recent[route]
            recent, totals = self._recent_sums(route, int(now_s)), self._store.sums(route, document.trial_version)
        weights = self._weights_since(document, {key.policy_version for key in totals})
        found: tuple[GuardrailFinding, ...] = ()
        if document.spec.guardrails:
            found = findings(document, versions=versions, weights=weights, totals=totals, recent=recent)
        return Observation(found, guardrails.count_samples(document, totals), totals)

    def _recent_sums(self, route: str, now_s: int) -> Sums:
        """By bucket. Read before the totals, so that they never exceed them."""
        known = self._recent.get(route)
        fresh = self._store.recent_sums(route, now_s - (RECENT_S if known is None else FRESH_S))
        kept = {key: value for key, value in (known or {}).items() if key.bucket_s >= now_s - RECENT_S}
        self._recent[route] = {**kept, **fresh}
        return self._recent[route]

    def _weights_since(self, document: Document, policy_versions: set[int]) -> Mapping[int, Mapping[str, int]]:
        """The weights of the versions that sums are of. A version never changes, so it is read once."""
        known = self._weights[document.spec.route]
        for version in policy_versions - known.keys():
            entry = self._store.version(document.spec.route, version)
            if entry is not None:
                known[version] = entry.document.weights
        for version in known.keys() - policy_versions:
            del known[version]
        return known


def _fits(recent: Sums, totals: Sums, since_version: int) -> bool:
    """Whether the totals have the requests that there are by the bucket, of the versions of which there are totals."""
    oldest = min((key.policy_version for key in totals), default=since_version)
    counted: dict[SumKey, int] = defaultdict(int)
    for key, value in recent.items():
        if key.policy_version >= oldest and key.name == REQUESTS:
            counted[key._replace(bucket_s=0)] += value
    return all(value <= totals.get(key, 0) for key, value in counted.items())


class RolloutDriver:
    """One per replica. `verdicts` is what the guardrails said last, by route; `aborts` counts what was taken out."""

    def __init__(
        self,
        store: Store,
        changes: Changes,
        documents: Callable[[], Mapping[str, Document]],
        candidates: Callable[[str], Mapping[str, Candidate] | None],
    ) -> None:
        self.verdicts: Mapping[str, tuple[GuardrailFinding, ...]] = {}
        self.aborts: dict[tuple[str, str, str], int] = {}
        self.failures = 0
        self._failing: Mapping[str, str] = {}
        self._observer = Observer(store)
        self._changes = changes
        self._documents = documents
        self._candidates = candidates

    def tick(self, now_s: float) -> None:
        """Looks at every route once; never raises what the store or the registry may raise.

        First what is bad goes, everywhere: nothing that takes time may keep it.
        """
        verdicts: dict[str, tuple[GuardrailFinding, ...]] = {}
        going_on: list[tuple[str, Document, int]] = []
        failing: dict[str, str] = {}
        for route, document in self._documents().items():
            bound = self._candidates(route) if may_be_due(document) else None
            if bound is None:
                continue
            with self._noted(route, failing):
                evidence = self._observer.look(document, {arm: each.version for arm, each in bound.items()}, now_s)
                verdicts[route] = evidence.findings
                move = abort_due(document, evidence.findings, bound, now_s)
                if move is None:
                    going_on.append((route, document, evidence.samples))
                else:
                    self._make(route, document, move)
        self.verdicts = verdicts
        for route, document, samples in going_on:
            with self._noted(route, failing):
                move = self._follow(document, now_s) or step_due(document, samples, now_s)
                if move is not None:
                    self._make(route, document, move)
        self._failing = failing

    @contextmanager
    def _noted(self, route: str, failing: dict[str, str]) -> Iterator[None]:
        try:
            yield
        except (StoreError, RouterError, RegistryError, ModelRefused) as error:
            self.failures += 1
            failing[route] = str(error)
            if self._failing.get(route) != failing[route]:  # not twice a second, for as long as it lasts
                _log.warning("gateway.advance.failed", route=route, error=str(error))

    def _follow(self, document: Document, now_s: float) -> DueChange | None:
        rollout = document.spec.rollout
        if rollout is None or document.spec.arms[rollout.of].alias is None:
            return None
        try:
            named = self._changes.named_now(document.spec.arms[rollout.of])
            move = follow_due(document, named, now_s)
            if move is not None:
                self._changes.require_loadable(apply(document, move.command))
        except (RegistryError, ModelRefused, Rejected):  # nothing follows a registry that is away, or a broken version
            return None
        return move

    def _make(self, route: str, document: Document, move: DueChange) -> None:
        note = Note(OURSELVES, move.what, move.why)
        try:
            entry = self._changes.change(route, lambda _: move.command, note, expected=document.version)
        except Conflict:  # another replica, or an operator, was quicker
            return
        if move.finding is not None:
            arm, guardrail = move.finding.arm, move.finding.guardrail
            self.aborts[route, arm, guardrail] = self.aborts.get((route, arm, guardrail), 0) + 1
            _log.error("gateway.guardrail.aborted", route=route, arm=arm, guardrail=guardrail, why=move.why)
        else:
            _log.info("gateway.rollout.moved", route=route, what=move.what, version=entry.document.version)
