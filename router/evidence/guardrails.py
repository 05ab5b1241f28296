"""The findings of a route's guardrails on its arms, from the sums.

Requests are compared stratum by stratum. A stratum is one policy version, whose weights say how likely each arm was to
be drawn, within one block of time. Recent blocks are short, so that an arm that has turned bad is not excused by a good
past. What is older than the sums that are kept by bucket is one block per policy version.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from router.document.document import Document
from router.draw.assignment import BUCKETS
from router.evidence.evidence import Stratum, compare, compare_to_bound
from router.evidence.sums import (
    BUCKET_S,
    ERRORS,
    FLIPS,
    LEFT,
    MILLION,
    MISSING,
    PAIRS,
    REQUESTS,
    SumKey,
    Sums,
    slow,
    total,
)
from router.evidence.time_buckets import block_start_s
from router.evidence.verdict import EventCount, Verdict, judge, spend
from router.quantities import format_duration
from router.spec.spec import Guardrail, GuardrailKind

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
    """Return the finding of every guardrail on every arm that it watches.

    `versions` holds the model version that serves each arm now. Counts of another version of the arm are left out, and
    an arm that no version serves gets no finding. `weights` must hold the policy versions since
    `document.trial_version`. `totals` are sums over all time. They must be read after `recent`, which are by bucket.
    """
    spec = document.spec
    alpha = spend(float(spec.alpha), len(spec.guardrails) * len(spec.guarded_arms))
    inputs = _Inputs(document, weights, totals, recent)
    return tuple(
        GuardrailFinding(
            arm=arm,
            guardrail=name_of(guardrail),
            verdict=_judge(inputs, arm=arm, version=versions[arm], guardrail=guardrail, alpha=alpha),
        )
        for arm in spec.guarded_arms
        if arm in versions
        for guardrail in spec.guardrails
    )


def name_of(guardrail: Guardrail) -> str:
    """Return the name of a guardrail in the history, the metrics and the status."""
    if guardrail.kind is GuardrailKind.SLOWER_THAN:
        return f"{guardrail.kind} {format_duration(guardrail.slower_than_us / 1e6)}"
    return str(guardrail.kind)


class _Inputs(NamedTuple):
    """The arguments of `findings` that are the same for every arm and guardrail."""

    document: Document
    weights: SlotsByVersion
    totals: Sums
    recent: Sums


def _judge(inputs: _Inputs, *, arm: str, version: str, guardrail: Guardrail, alpha: float) -> Verdict:
    if guardrail.kind is GuardrailKind.DISAGREEMENT:
        return _judge_disagreement(inputs, arm=arm, version=version, guardrail=guardrail, alpha=alpha)
    event = _event(guardrail)
    strata = list(_strata(inputs, arm, event, version))
    return judge(
        what=event.what,
        arm=arm,
        evidence=compare(strata, float(guardrail.margin), by_unit=not _is_drawn_each_time(inputs.document)),
        alpha=alpha,
        counted=EventCount(sum(each.events for each in strata), sum(each.requests for each in strata)),
        allowed=float(guardrail.margin),
        others=EventCount(sum(each.other_events for each in strata), sum(each.other_requests for each in strata)),
    )


def _is_drawn_each_time(document: Document) -> bool:
    """Return True if an arm's share of the requests is its weight.

    It is not if units stay with their arms. Nor is it in a split, where the version that is counted may have come to
    its arm in the middle of a policy version.
    """
    return document.spec.unit is None and document.spec.rollout is not None


class _Event(NamedTuple):
    """What a guardrail compares: the sum of its events, what happened to those requests, and the sums of all."""

    name: str
    what: str
    among: tuple[str, ...] = (REQUESTS,)


def _event(guardrail: Guardrail) -> _Event:
    if guardrail.kind is GuardrailKind.ERRORS:
        return _Event(ERRORS, "failed")
    if guardrail.kind is GuardrailKind.MISSING_OUTPUTS:
        return _Event(MISSING, "were answered with a value missing")
    threshold = format_duration(guardrail.slower_than_us / 1e6)
    return _Event(slow(guardrail.slower_than_us), f"took longer than {threshold}", (REQUESTS, LEFT))


def _judge_disagreement(inputs: _Inputs, *, arm: str, version: str, guardrail: Guardrail, alpha: float) -> Verdict:
    """Judge the pairs of this arm and the trusted arm, whichever of both was the primary.

    A pair counts once, by the share of its instances that flip.
    """
    document = inputs.document
    trusted = document.spec.trusted_arm

    def is_pair(key: SumKey) -> bool:
        is_primary = (key.arm, key.against) == (trusted, arm) and key.against_version == version
        is_shadow = (key.arm, key.against) == (arm, trusted) and key.model_version == version
        return key.policy_version >= document.trial_version and (is_primary or is_shadow)

    counted = {
        name: sum(value for key, value in inputs.totals.items() if key.name == name and is_pair(key))
        for name in (PAIRS, FLIPS)
    }
    flips = counted[FLIPS] / MILLION
    return judge(
        what=f"differ from what {trusted} answers",
        arm=arm,
        evidence=compare_to_bound(counted[PAIRS], flips, float(guardrail.margin)),
        alpha=alpha,
        counted=EventCount(flips, counted[PAIRS]),
        allowed=float(guardrail.margin),
        others=None,
        things="answers",
    )


def _strata(inputs: _Inputs, arm: str, event: _Event, version: str) -> Iterable[Stratum]:
    """Yield the strata of one arm and one event. The first one is empty and marks the start of the trial."""
    document, weights, totals, recent = inputs
    oldest_s = min((key.bucket_s for key in recent), default=0)
    newest_s = max((key.bucket_s for key in recent), default=0)
    first_s = int(document.trial_s) // BUCKET_S * BUCKET_S
    cells: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0] * 4)

    def add(key: SumKey, value: int, begins_s: int) -> None:
        is_candidate = key.arm == arm
        if is_candidate and key.model_version != version:
            return
        cell, side = cells[key.policy_version, begins_s], 0 if is_candidate else 2
        cell[side] += value * (key.name in event.among)
        cell[side + 1] += value * (key.name == event.name)

    for key, value in totals.items():
        add(key, value, first_s)
    for key, value in recent.items():
        begins_s = block_start_s(key.bucket_s, newest_s)
        if begins_s > first_s and begins_s >= oldest_s:  # an older block has lost some of its buckets
            add(key, value, begins_s)
            add(key, -value, first_s)
    yield Stratum(share=0.5, requests=0, events=0, other_requests=0, other_events=0, bucket_s=first_s)
    for (policy_version, begins_s), (requests, events, other_requests, other_events) in sorted(cells.items()):
        share = weights.get(policy_version, {}).get(arm, 0) / BUCKETS
        if policy_version >= document.trial_version and 0 < share < 1:
            yield Stratum(
                share=share,
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
