"""Advances rollouts, follows aliases, and takes bad arms out of traffic. Runs in a background thread.

The companion process of every machine looks, about twice a second, at the routes that it owns (`route_shares.py`). What
has to be done follows from the document, the sums and the time, and is written with compare-and-set. If two companions
look at a route, the first one makes the change, and the other finds it made.

What is due because an alias has moved follows from the registry, without the store. So every machine finds it out, and
tries the new version by then. The owner of the route writes it. If the owner cannot, the others do after a while.
"""

from collections.abc import Mapping
from contextlib import suppress

import structlog

from gateway.control.changes import OURSELVES, Changes, Note
from gateway.control.follower import Follower
from gateway.control.observer import Observation, Observer
from gateway.control.route_shares import RouteShares
from gateway.control.step_clock import StepClock
from gateway.control.view import View
from registry_sync.errors import RegistryError
from router.document.document import Document
from router.errors import RouterError
from router.evidence.due import DueChange, abort_due, may_be_due, step_due
from router.evidence.guardrails import GuardrailFinding
from runtimes.errors import ModelRefused
from store.errors import Conflict, StoreError
from store.interface import Store

_log = structlog.get_logger()

# What concerns one route alone. A context manager for each route took a sixth of a look at a thousand of them.
_OF_ONE_ROUTE = (StoreError, RouterError, RegistryError, ModelRefused)
_OWNER_FIRST_S = 5.0
"""How long the other machines leave a change to the owner that is due because an alias has moved."""
_Trouble = set[tuple[str, str]]
"""Route and error sentence."""


class RolloutDriver:
    """One per machine. Without `shares` it evaluates every route.

    `verdicts` are the guardrails' last findings, by route. `aborts` counts the arms that were taken out of traffic, by
    route, arm and guardrail. `silent` has the arms whose rewards have stopped, by route, metric and arm.
    """

    def __init__(
        self, store: Store, follower: Follower, changes: Changes, view: View, shares: RouteShares | None = None
    ) -> None:
        self.verdicts: Mapping[str, tuple[GuardrailFinding, ...]] = {}
        self.silent: frozenset[tuple[str, str, str]] = frozenset()
        self.aborts: dict[tuple[str, str, str], int] = {}
        self.failures = 0
        self._trouble: _Trouble = set()
        self._observer = Observer(store)
        self._clock = StepClock(store)
        self._follower = follower
        self._changes = changes
        self._view = view
        self._shares = shares or RouteShares(store, "")
        self._overdue_s: dict[str, float] = {}

    def tick(self, now_s: float) -> None:
        """Look at every route once, at `now_s` in seconds since the epoch. Never raise a store or registry error.

        Bad arms of all routes go first, then aliases are followed.
        """
        self._observer.refresh(now_s)
        verdicts: dict[str, tuple[GuardrailFinding, ...]] = {}
        silent: set[tuple[str, str, str]] = set()
        remaining: list[tuple[str, Document, Observation]] = []
        changed = set[str]()
        trouble: _Trouble = set()
        for route, document in self._view.documents.items():
            is_watched = may_be_due(document) or bool(document.spec.metrics)
            serving = self._view.candidates(route) if is_watched else None
            is_ours = is_watched and self._shares.takes(route, is_able=serving is not None)
            if serving is None or not is_ours:
                continue
            try:
                versions = {arm: each.version for arm, each in serving.items()}
                observation = self._observer.look(document, versions, now_s)
                silent.update((route, name, arm) for name, of in observation.rewards.items() for arm in of.silent)
                if not may_be_due(document):
                    continue
                verdicts[route] = observation.findings
                move = abort_due(document, observation.findings, serving, now_s)
                if move is None:
                    remaining.append((route, document, observation))
                else:
                    changed.add(route)
                    self._make(route, document, move)
            except _OF_ONE_ROUTE as error:
                self._note(route, error, trouble)
        self.verdicts, self.silent = verdicts, frozenset(silent)
        changed |= self._follow(changed, now_s, trouble)
        for route, document, seen in remaining:
            try:
                observed_s = self._clock.observe(document, now_s)
                move = step_due(document, seen.findings, seen.samples, observed_s, now_s)
                if move is not None and route not in changed:
                    self._make(route, document, move)
            except _OF_ONE_ROUTE as error:
                self._note(route, error, trouble)
        with suppress(StoreError):  # the next tick tries it again
            self._clock.save()
            self._clock.forget_ended(self._view.documents.values())
        self._trouble = trouble

    def _follow(self, changed: set[str], now_s: float, trouble: _Trouble) -> set[str]:
        """Follow the aliases of the other routes. Return the routes that were changed."""
        followed, overdue_s = set(), dict[str, float]()
        for route, document in self._follower.unsettled(self._view.documents):
            try:
                due = None if route in changed else self._follower.due(route, now_s)
                if due is None:
                    continue
                followed.add(route)
                overdue_s[route] = self._overdue_s.get(route, now_s)
                if self._shares.owns(route) or now_s - overdue_s[route] >= _OWNER_FIRST_S:
                    self._make(route, document, DueChange(*due))
            except _OF_ONE_ROUTE as error:
                self._note(route, error, trouble)
        self._overdue_s = overdue_s
        return followed

    def _note(self, route: str, error: Exception, trouble: _Trouble) -> None:
        """Count and log an error of the route. A sentence that lasts is not logged again at every tick."""
        self.failures += 1
        trouble.add((route, str(error)))
        if (route, str(error)) not in self._trouble:
            _log.warning("gateway.advance.failed", route=route, error=str(error))

    def _make(self, route: str, document: Document, move: DueChange) -> None:
        note = Note(OURSELVES, move.what, move.why)
        try:
            entry = self._changes.change(route, lambda _: move.command, note, expected=document.version)
        except Conflict:  # another machine or an operator came first
            return
        if move.finding is not None:
            arm, guardrail = move.finding.arm, move.finding.guardrail
            self.aborts[route, arm, guardrail] = self.aborts.get((route, arm, guardrail), 0) + 1
            _log.error("gateway.guardrail.aborted", route=route, arm=arm, guardrail=guardrail, why=move.why)
        else:
            _log.info("gateway.rollout.moved", route=route, what=move.what, version=entry.document.version)
