"""Reads the live sums of a route from the store and evaluates its guardrails.

A route is looked at again only if its sums, its document or the versions that serve it have changed. So a thousand
routes of which few get requests cost what those few do.
"""

from collections import defaultdict
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from gateway.control.reward_reader import RewardReader
from router.document.document import Document
from router.evidence import guardrails
from router.evidence.guardrails import GuardrailFinding, findings
from router.evidence.reward_counts import RewardCounts
from router.evidence.sample_ratio import Draws, draws_of
from router.evidence.strata import Counted
from router.evidence.sums import REQUESTS, SumKey, Sums
from router.evidence.units import GroupCounts, by_group
from store.interface import Store

RECENT_S = 3600
"""How far back sums are read by time bucket."""
FRESH_S = 60
"""How far back time buckets are read again at every look. What is added to older buckets counts in the totals only."""
LOOK_AGAIN_S = 60.0
"""A route is read again after this time even if the store says that it was not counted: older companions do not say."""
GROUPS_FRESH_S = 180
"""The same for the sums by group of units, whose time buckets are longer."""
GROUPS_EVERY_S = 10.0
"""How often the sums by group are read. A verdict that waits for them reads them at once."""
GROUPS_AWAITED_EVERY_S = 1.0


_FEW = 100
"""Of so many routes the store is asked by name whether they were counted; of more, which of all routes were."""


class Observation(NamedTuple):
    """The state of a route: its guardrails' findings, and the candidate's requests since its step began.

    `rewards` are by metric. `draws` are those of each arm, with what its weights say.
    """

    findings: tuple[GuardrailFinding, ...]
    samples: int
    totals: Sums
    rewards: Mapping[str, RewardCounts]
    draws: Mapping[str, Draws] = MappingProxyType({})


class _Groups(NamedTuple):
    """The sums by group of units of a route, as they were read at `at_s`, of the trial that began at a version."""

    at_s: float
    trial_version: int
    totals: GroupCounts
    recent: GroupCounts


_NO_GROUPS = _Groups(float("-inf"), 0, {}, {})


class _Look(NamedTuple):
    """The last look at a route: what it depends on besides the sums, and what came of it."""

    document: Document
    versions: Mapping[str, str]
    observation: Observation
    at_s: float


class Observer:
    """Reads the sums of routes and keeps what does not change between two looks. Used by one thread at a time.

    Call `refresh` before a round of looks. What is counted after the first look of a round may be left out of it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._number, self._is_fresh = 0, False
        self._looks: dict[str, _Look] = {}
        self._weights: dict[str, dict[int, Mapping[str, int]]] = defaultdict(dict)
        self._recent: dict[str, Sums] = {}
        self._read_s: dict[str, int] = {}
        self._groups: dict[str, _Groups] = {}
        self._rewards = RewardReader(store)

    def refresh(self, now_s: float) -> None:
        """Let the next look find out which routes were counted in the meantime. Forget looks that are too old."""
        self._is_fresh = False
        self._looks = {route: each for route, each in self._looks.items() if 0 <= now_s - each.at_s < LOOK_AGAIN_S}

    def look(self, document: Document, versions: Mapping[str, str], now_s: float) -> Observation:
        """Return the state of the document's route at `now_s`, in seconds since the epoch.

        `versions` maps each arm to the model version that serves it.

        Raises:
            StoreUnavailable: the store does not answer.
            Corrupt: an earlier document cannot be read back.
        """
        if not self._is_fresh:
            self._forget_counted()
        known = self._looks.get(document.spec.route)
        is_young = known is not None and 0 <= now_s - known.at_s < LOOK_AGAIN_S
        if known is not None and is_young and known.document == document and known.versions == versions:
            return known.observation
        observation = self._read(document, versions, now_s)
        if not any(finding.verdict.awaits_units for finding in observation.findings):
            self._looks[document.spec.route] = _Look(document, versions, observation, now_s)
        return observation

    def _forget_counted(self) -> None:
        among = self._looks if len(self._looks) <= _FEW else None
        counted = self._store.counted_since(self._number, among)
        if counted.number < self._number:  # the store has lost sums
            self._looks.clear()
            self._rewards.forget_all()
        for route in counted.routes:
            self._looks.pop(route, None)
        self._number, self._is_fresh = counted.number, True

    def _read(self, document: Document, versions: Mapping[str, str], now_s: float) -> Observation:
        route = document.spec.route
        recent = self._recent_sums(route, int(now_s)) if document.spec.guardrails else {}
        totals = self._store.sums(route, document.trial_version)
        if not _fits(recent, totals, document.trial_version):  # the store has lost sums that were read before
            del self._recent[route]
            self._groups.pop(route, None)
            self._rewards.forget(route)
            recent, totals = self._recent_sums(route, int(now_s)), self._store.sums(route, document.trial_version)
        rewards = self._rewards.counts(document, now_s)
        counted_sums = (totals, *(counts.totals for counts in rewards.values()))
        weights = self._weights_since(document, {key.policy_version for sums in counted_sums for key in sums})
        found: tuple[GuardrailFinding, ...] = ()
        if document.spec.guardrails:
            counted = Counted(weights, totals, recent, {}, {}, rewards)
            found = self._findings(document, versions, counted, now_s)
        samples = guardrails.count_samples(document, totals)
        return Observation(found, samples, totals, rewards, draws_of(totals, weights))

    def _findings(
        self, document: Document, versions: Mapping[str, str], counted: Counted, now_s: float
    ) -> tuple[GuardrailFinding, ...]:
        """Evaluate the guardrails. If the sums by group could make an arm UNHEALTHY, read them anew first."""
        found: tuple[GuardrailFinding, ...] = ()
        for every_s in (GROUPS_EVERY_S, GROUPS_AWAITED_EVERY_S):
            groups = self._group_sums(document, now_s, every_s) if document.spec.unit is not None else _NO_GROUPS
            counted = counted._replace(group_totals=groups.totals, group_recent=groups.recent)
            found = findings(document, versions=versions, counted=counted)
            if not any(finding.verdict.awaits_units for finding in found):
                break
        return found

    def _group_sums(self, document: Document, now_s: float, every_s: float) -> _Groups:
        """Return the sums by group, read again if they are older than `every_s` or of another trial."""
        route, trial = document.spec.route, document.trial_version
        known = self._groups.get(route, _NO_GROUPS)
        if known.trial_version == trial and abs(now_s - known.at_s) < every_s:
            return known
        is_new = known.trial_version != trial
        since_s = now_s - RECENT_S if is_new else max(min(known.at_s, now_s) - GROUPS_FRESH_S, now_s - RECENT_S)
        read = self._store.group_sums(route, trial, int(since_s))
        kept = {key: value for key, value in known.recent.items() if key.bucket_s >= now_s - RECENT_S and not is_new}
        self._groups[route] = _Groups(now_s, trial, by_group(read.totals), {**kept, **by_group(read.recent)})
        return self._groups[route]

    def _recent_sums(self, route: str, now_s: int) -> Sums:
        """Return the sums by time bucket. Call this before reading the totals, so that it never exceeds them."""
        known = self._recent.get(route)
        # What was counted since the last reading may be older than that: a store that was away gets its counts late.
        last_s, self._read_s[route] = min(self._read_s.get(route, now_s), now_s), now_s
        fresh = self._store.recent_sums(route, max(last_s - FRESH_S, now_s - RECENT_S) if known else now_s - RECENT_S)
        kept = {key: value for key, value in (known or {}).items() if key.bucket_s >= now_s - RECENT_S}
        self._recent[route] = {**kept, **fresh}
        return self._recent[route]

    def _weights_since(self, document: Document, policy_versions: set[int]) -> Mapping[int, Mapping[str, int]]:
        """Return the weights of the document versions that have sums; none of a bandit, which moves them.

        A version never changes, so read it once.
        """
        known = self._weights[document.spec.route]
        for version in policy_versions - known.keys():
            entry = self._store.version(document.spec.route, version)
            if entry is not None:
                known[version] = {} if entry.document.spec.learns else entry.document.weights
        for version in known.keys() - policy_versions:
            del known[version]
        return known


def _fits(recent: Sums, totals: Sums, since_version: int) -> bool:
    """Return True if the totals hold at least the requests of the time buckets, for the versions in the totals."""
    oldest = min((key.policy_version for key in totals), default=since_version)
    counted: dict[SumKey, int] = defaultdict(int)
    for key, value in recent.items():
        if key.policy_version >= oldest and key.name == REQUESTS:
            counted[key._replace(bucket_s=0)] += value
    return all(value <= totals.get(key, 0) for key, value in counted.items())
