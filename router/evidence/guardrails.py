"""The findings of a route's guardrails on its arms, from the sums.

Requests of an arm are compared with those of the trusted arm, stratum by stratum. Other arms may be bad themselves, so
nothing is held against them. A stratum is one policy version, whose weights say how likely each of the two arms was to
be drawn, within one block of time. Recent blocks are short, so that an arm that has turned bad is not excused by a good
past. What is older than the sums that are kept by bucket is one block per policy version.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from router.document.document import Document
from router.evidence.evidence import Stratum, compare, compare_to_bound
from router.evidence.looks import Look, looks_of
from router.evidence.sums import BUCKET_S, FLIPS, MILLION, MISSING, PAIRS, REQUESTS, UNSEEN, SumKey, Sums, total
from router.evidence.time_buckets import block_start_s
from router.evidence.verdict import EventCount, Verdict, blind, judge, spend

SlotsByVersion = Mapping[int, Mapping[str, int]]
"""The slots of each arm, by policy version."""


@dataclass(frozen=True, slots=True)
class GuardrailFinding:
    """The verdict of one guardrail on one arm."""

    arm: str
    guardrail: str
    verdict: Verdict


def findings(
    document: Document, *, versions: Mapping[str, str], weights: SlotsByVersion, totals: Sums, recent: Sums
) -> tuple[GuardrailFinding, ...]:
    """Return the findings of every guardrail on every arm that it watches.

    `versions` holds the model version that serves each arm now. Counts of another version of the arm are left out, and
    an arm that no version serves gets no finding. `weights` must hold the policy versions since
    `document.trial_version`. `totals` are sums over all time. They must be read after `recent`, which are by bucket.
    """
    spec = document.spec
    looks = [look for guardrail in spec.guardrails for look in looks_of(guardrail)]
    alpha = spend(float(spec.alpha), len(looks) * len(spec.guarded_arms))
    inputs = _Inputs(document, weights, totals, recent)
    return tuple(
        GuardrailFinding(arm, look.name, _judge(_Watched(inputs, arm, versions[arm]), look, alpha))
        for arm in spec.guarded_arms
        if arm in versions
        for look in looks
    )


class _Inputs(NamedTuple):
    """The arguments of `findings` that are the same for every arm and guardrail."""

    document: Document
    weights: SlotsByVersion
    totals: Sums
    recent: Sums

    @property
    def trusted(self) -> str:
        """The arm that the others are held against."""
        return self.document.spec.trusted_arm or ""


class _Watched(NamedTuple):
    """An arm, and the model version that serves it."""

    inputs: _Inputs
    arm: str
    version: str

    def total(self, name: str) -> int:
        """Return a sum of the arm's own requests, since the trial began."""
        own = {key: value for key, value in self.inputs.totals.items() if not key.against and self.is_since(key)}
        return total(own, name, [self.arm], self.version)

    def total_of_pairs(self, name: str) -> int:
        """Return a sum of the pairs of this arm and the trusted arm, whichever of both was the primary."""
        arm, version, trusted = self.arm, self.version, self.inputs.trusted
        return sum(
            value
            for key, value in self.inputs.totals.items()
            if key.name == name
            and self.is_since(key)
            and (
                ((key.arm, key.against) == (trusted, arm) and key.against_version == version)
                or ((key.arm, key.against) == (arm, trusted) and key.model_version == version)
            )
        )

    def is_since(self, key: SumKey) -> bool:
        """Return True if a sum is of the present trial."""
        return key.policy_version >= self.inputs.document.trial_version


def _judge(watched: _Watched, look: Look, alpha: float) -> Verdict:
    if look.event == FLIPS:
        return _judge_disagreement(watched, look, alpha)
    if look.event == MISSING and watched.total(UNSEEN):
        return blind(watched.arm, "The log keeps no output of this model in which a value could be missing")
    document = watched.inputs.document
    strata = list(_strata(watched, look))
    return judge(
        what=look.what,
        arm=watched.arm,
        evidence=compare(strata, look.margin, by_unit=not _is_drawn_each_time(document)),
        alpha=alpha,
        counted=EventCount(sum(each.events for each in strata), sum(each.requests for each in strata)),
        allowed=look.margin,
        others=EventCount(sum(each.other_events for each in strata), sum(each.other_requests for each in strata)),
        beside=watched.inputs.trusted,
    )


def _is_drawn_each_time(document: Document) -> bool:
    """Return True if an arm's share of the requests is its weight.

    It is not if units stay with their arms. Nor is it in a split, where the version that is counted may have come to
    its arm in the middle of a policy version.
    """
    return document.spec.unit is None and document.spec.rollout is not None


def _judge_disagreement(watched: _Watched, look: Look, alpha: float) -> Verdict:
    """Judge the pairs of this arm and the trusted arm. A pair counts once, by the share of its instances that flip."""
    pairs, flips = watched.total_of_pairs(PAIRS), watched.total_of_pairs(FLIPS) / MILLION
    trusted = watched.inputs.trusted
    if not pairs and watched.total_of_pairs(UNSEEN):
        return blind(watched.arm, f"The log keeps no output of this model that could be compared with {trusted}'s")
    return judge(
        what=f"{look.what} from what {trusted} answers",
        arm=watched.arm,
        evidence=compare_to_bound(pairs, flips, look.margin),
        alpha=alpha,
        counted=EventCount(flips, pairs),
        allowed=look.margin,
        others=None,
        things="answers",
    )


def _strata(watched: _Watched, look: Look) -> Iterable[Stratum]:
    """Yield the strata of an arm and the trusted arm. The first one is empty and marks the start of the trial."""
    document, weights, totals, recent = watched.inputs
    arm, trusted = watched.arm, watched.inputs.trusted
    oldest_s = min((key.bucket_s for key in recent), default=0)
    newest_s = max((key.bucket_s for key in recent), default=0)
    first_s = int(document.trial_s) // BUCKET_S * BUCKET_S
    cells: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0] * 4)

    def add(key: SumKey, value: int, begins_s: int) -> None:
        if key.against or (key.arm != trusted and (key.arm, key.model_version) != (arm, watched.version)):
            return
        cell, side = cells[key.policy_version, begins_s], 2 if key.arm == trusted else 0
        cell[side] += value * (key.name in look.among)
        cell[side + 1] += value * (key.name == look.event)

    for key, value in totals.items():
        add(key, value, first_s)
    for key, value in recent.items():
        begins_s = block_start_s(key.bucket_s, newest_s)
        if begins_s > first_s and begins_s >= oldest_s:  # an older block has lost some of its buckets
            add(key, value, begins_s)
            add(key, -value, first_s)
    yield Stratum(share=0.5, requests=0, events=0, other_requests=0, other_events=0, bucket_s=first_s)
    for (policy_version, begins_s), (requests, events, other_requests, other_events) in sorted(cells.items()):
        slots = weights.get(policy_version, {})
        own, others = slots.get(arm, 0), slots.get(trusted, 0)
        if policy_version >= document.trial_version and own and others:
            yield Stratum(
                share=own / (own + others),
                requests=requests,
                events=events,
                other_requests=other_requests,
                other_events=other_events,
                bucket_s=begins_s,
            )


def count_samples(document: Document, totals: Sums) -> int:
    """Count the drawn requests of a rollout's candidate since its step began."""
    rollout, state = document.spec.rollout, document.rollout
    if rollout is None or state is None or state.candidate is None:
        return 0
    since = {key: value for key, value in totals.items() if key.policy_version >= state.since_version}
    return total(since, REQUESTS, [rollout.of], state.candidate.version)
