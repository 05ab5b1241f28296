"""Learns the weights of all bandits of a store. One thread of the companion calls it.

The machine that owns a route learns on it (`gateway/control/route_shares.py`). A policy is in the log before it is in
force, so that every decision can be replayed. If several machines learn at once, compare-and-set lets one win. What the
others have written into the log by then names no decision.
"""

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

import structlog

from bandits.errors import BanditError
from gateway.control.changes import OURSELVES, Changes, Note
from gateway.control.learning.bounds import bounds_of
from gateway.control.learning.contextual import first_needed_s, next_contextual
from gateway.control.learning.learning import Learning, learning_of
from gateway.control.learning.next import next_policy, stop_due
from gateway.control.route_shares import RouteShares
from gateway.control.view import View
from inference_log.record import Learned
from inference_log.segment_lock import sync_segment
from inference_log.writer import LogWriter
from registry_sync.errors import RegistryError
from router.document.commands import Command, Promote
from router.document.document import Candidate, Document
from router.document.learned import LearnedPolicy, policy_to_dict, with_learned
from router.document.phase import Phase
from router.draw.assignment import BUCKETS
from router.draw.slots import counts
from router.errors import RouterError
from router.evidence.reward_counts import ReadSums
from router.rewards.buckets import length_s, settling_s
from router.rewards.sums import RewardKey, RewardSum
from runtimes.errors import ModelRefused
from store.errors import Conflict, StoreError
from store.interface import Store

_log = structlog.get_logger()

_OF_ONE_ROUTE = (StoreError, RouterError, BanditError, RegistryError, ModelRefused)


class _Seen(NamedTuple):
    """What was looked at last on a route: another look at the same would find the same."""

    declared_us: int
    version: int
    bucket_s: int


class Learner:
    """One per machine. Without `shares` it learns on every route.

    `failures` counts policies that could not be learned, `learned` those that were.
    """

    def __init__(
        self, store: Store, view: View, changes: Changes, writer: LogWriter, shares: RouteShares | None = None
    ) -> None:
        self.failures = self.learned = 0
        self._changes = changes
        self._store = store
        self._view = view
        self._writer = writer
        self._shares = shares or RouteShares(store, "")
        self._seen: dict[str, _Seen] = {}
        self._trouble: set[tuple[str, str]] = set()

    def tick(self, now_s: float) -> None:
        """Learn what is due at `now_s`, in seconds since the epoch. Never raise an error of the store or of a route."""
        trouble: set[tuple[str, str]] = set()
        for route, document in self._view.documents.items():
            learning = learning_of(document)
            serving = None if learning is None else self._view.candidates(route)
            if learning is None or serving is None or learning.state.phase is not Phase.PROGRESSING:
                continue
            if not self._shares.owns(route):
                continue
            seen = _Seen(document.declared_us, document.version, _newest_bucket_s(learning, now_s))
            if self._seen.get(route) == seen:
                continue
            try:
                self._learn(learning, serving, now_s)
            except _OF_ONE_ROUTE as error:
                self.failures += 1
                trouble.add((route, str(error)))
                if (route, str(error)) not in self._trouble:
                    _log.warning("gateway.learning.failed", route=route, error=str(error))
            else:
                self._seen[route] = seen
        self._trouble = trouble

    def _learn(self, learning: Learning, serving: Mapping[str, Candidate], now_s: float) -> None:
        document = learning.document
        known = self._store.policy(document.spec.route)
        if known is not None and known.declared_us != document.declared_us:
            known = None
        document = with_learned(document, known)  # another machine may have learned since the view was refreshed
        bounds = bounds_of(document, learning.bandit, serving)
        current, read = learning._replace(document=document), self._read(learning)
        if learning.bandit.context:
            since, since_s = min(learning.state.arms.values()), first_needed_s(known)
            contexts = self._store.context_sums(document.spec.route, since, since_s)
            policy = next_contextual(current, known, read, contexts, bounds, now_s=now_s)
        else:
            policy = next_policy(current, known, read, bounds, now_s=now_s)
        if policy is None or not self._archive(policy):
            return
        if not self._store.learn(policy, 0 if known is None else known.number):
            return
        self.learned += 1
        command = stop_due(learning, policy, now_s)
        if command is not None:
            self._stop(document, command)

    def _stop(self, document: Document, command: Command) -> None:
        """End the bandit, because its best arm is known."""
        what = "promote" if isinstance(command, Promote) else "hold"
        note = Note(OURSELVES, what, "The best arm is known, as the stop rule asks.")
        with suppress(Conflict):  # another machine or an operator came first
            self._changes.change(document.spec.route, lambda _: command, note, expected=document.version)
            _log.info("gateway.learning.stopped", route=document.spec.route, what=what)

    def _read(self, learning: Learning) -> ReadSums:
        """Return the sums of rewards by time bucket, with those of the groups of units if the route has a unit."""
        route, since = learning.document.spec.route, min(learning.state.arms.values())
        recent: dict[RewardKey, RewardSum] = dict(self._store.reward_sums(route, since, 0).recent)
        if learning.document.spec.unit is not None:
            recent |= self._store.reward_sums(route, since, 0, by_group=True).recent
        return ReadSums({}, recent)

    def _archive(self, policy: LearnedPolicy) -> bool:
        """Write the policy into the log. Return False if that is not possible now."""
        is_written = self._writer.note(
            Learned(
                route=policy.route,
                declared_us=policy.declared_us,
                number=policy.number,
                since_version=policy.since_version,
                at_us=policy.at_us,
                weights={arm: slots / BUCKETS for arm, slots in counts(policy.slots).items()},
                content=json.dumps(policy_to_dict(policy), separators=(",", ":")),
            )
        )
        path = self._writer.active_path
        if is_written and path is not None:
            sync_segment(path)
        return is_written


def _newest_bucket_s(learning: Learning, now_s: float) -> int:
    """Return the start of the newest time bucket whose decisions have matured."""
    length = length_s(learning.metric)
    return math.floor((now_s - learning.metric.window_s - settling_s(learning.metric.window_s)) / length - 1) * length
