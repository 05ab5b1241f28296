"""What the guardrails of a route say of its arms, from the sums. Decides.

Requests are compared stratum by stratum: within one policy version, whose weights say how likely each arm was to be
drawn, and within a stretch of time. Of the last hour the stretches are short, so that an arm which has turned bad
lately is not excused by how good it was before; what is older is one stretch per policy version.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from router.document.document import Document
from router.draw.assignment import BUCKETS
from router.evidence.evidence import Stratum, bound, compare
from router.evidence.sums import BUCKET_S, ERRORS, FLIPS, MISSING, PAIRS, REQUESTS, SumKey, Sums, slow, total
from router.evidence.time_buckets import folded
from router.evidence.verdict import Counted, Verdict, judge, spend
from router.quantities import format_duration
from router.spec.spec import Guardrail, GuardrailKind

Weights = Mapping[int, Mapping[str, int]]
"""The slots of each arm, by policy version."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one guardrail says of one arm."""

    arm: str
    guardrail: str
    verdict: Verdict


def findings(
    document: Document, versions: Mapping[str, str], weights: Weights, totals: Sums, recent: Sums
) -> tuple[Finding, ...]:
    """Every guardrail's word on every arm that it watches.

    `versions` says which model version serves each arm now: what another one did under the same name does not count
    for it, and of an arm that none serves nothing is said. `weights` has the policy versions since
    `document.trial_version`; `totals` are sums over all time, read after `recent`, which are by bucket.
    """
    spec = document.spec
    alpha = spend(float(spec.alpha), len(spec.guardrails) * len(spec.guarded))
    return tuple(
        Finding(
            arm,
            name_of(guardrail),
            _judge(document, arm, guardrail, versions[arm], weights, totals, recent, alpha),
        )
        for arm in spec.guarded
        if arm in versions
        for guardrail in spec.guardrails
    )


def name_of(guardrail: Guardrail) -> str:
    """What a guardrail is called in histories, metrics and status."""
    if guardrail.kind is GuardrailKind.SLOWER_THAN:
        return f"{guardrail.kind} {format_duration(guardrail.slower_than_us / 1e6)}"
    return str(guardrail.kind)


def _judge(
    document: Document,
    arm: str,
    guardrail: Guardrail,
    version: str,
    weights: Weights,
    totals: Sums,
    recent: Sums,
    alpha: float,
) -> Verdict:
    if guardrail.kind is GuardrailKind.DISAGREEMENT:
        return _judge_disagreement(document, arm, guardrail, version, totals, alpha)
    event, what = _event(guardrail)
    strata = list(_strata(document, arm, event, version, weights, totals, recent))
    return judge(
        what=what,
        arm=arm,
        evidence=compare(strata, float(guardrail.margin), by_unit=not _is_drawn_each_time(document)),
        alpha=alpha,
        counted=Counted(sum(each.events for each in strata), sum(each.requests for each in strata)),
        allowed=float(guardrail.margin),
        others=Counted(sum(each.other_events for each in strata), sum(each.other_requests for each in strata)),
    )


def _is_drawn_each_time(document: Document) -> bool:
    """Whether an arm's share of the requests is its weight: not if units stay with their arms, nor if the version that
    counts may have come to its arm in the middle of a policy version.
    """
    return document.spec.unit is None and document.spec.rollout is not None


def _event(guardrail: Guardrail) -> tuple[str, str]:
    """The name of the sum that counts a guardrail's events, and what happened to them."""
    if guardrail.kind is GuardrailKind.ERRORS:
        return ERRORS, "failed"
    if guardrail.kind is GuardrailKind.MISSING_OUTPUTS:
        return MISSING, "were answered with a value missing"
    threshold = format_duration(guardrail.slower_than_us / 1e6)
    return slow(guardrail.slower_than_us), f"took longer than {threshold}"


def _judge_disagreement(
    document: Document, arm: str, guardrail: Guardrail, version: str, totals: Sums, alpha: float
) -> Verdict:
    """Pairs of the trusted arm beside this one, and of this one beside the trusted arm."""
    trusted = document.spec.otherwise

    def is_pair(key: SumKey) -> bool:
        beside = (key.arm, key.against) == (trusted, arm) and key.against_version == version
        before = (key.arm, key.against) == (arm, trusted) and key.model_version == version
        return key.policy_version >= document.trial_version and (beside or before)

    counted = {
        name: sum(value for key, value in totals.items() if key.name == name and is_pair(key))
        for name in (PAIRS, FLIPS)
    }
    return judge(
        what=f"differ from what {trusted} answers",
        arm=arm,
        evidence=bound(counted[PAIRS], counted[FLIPS], float(guardrail.margin)),
        alpha=alpha,
        counted=Counted(counted[FLIPS], counted[PAIRS]),
        allowed=float(guardrail.margin),
        others=None,
        things="answers",
    )


def _strata(
    document: Document, arm: str, event: str, version: str, weights: Weights, totals: Sums, recent: Sums
) -> Iterable[Stratum]:
    oldest_s = min((key.bucket_s for key in recent), default=0)
    newest_s = max((key.bucket_s for key in recent), default=0)
    first_s = int(document.trial_s) // BUCKET_S * BUCKET_S
    cells: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0] * 4)

    def add(key: SumKey, value: int, begins_s: int) -> None:
        is_candidate = key.arm == arm
        if key.name not in (REQUESTS, event) or (is_candidate and key.model_version != version):
            return
        cells[key.policy_version, begins_s][2 * (not is_candidate) + (key.name == event)] += value

    for key, value in totals.items():
        add(key, value, first_s)
    for key, value in recent.items():
        begins_s = folded(key.bucket_s, newest_s)
        if begins_s > first_s and begins_s >= oldest_s:  # else part of it is kept by the bucket no more
            add(key, value, begins_s)
            add(key, -value, first_s)
    yield Stratum(0.5, 0, 0, 0, 0, first_s)  # whatever came first, the comparison began here
    for (policy_version, begins_s), (requests, events, other_requests, other_events) in sorted(cells.items()):
        share = weights.get(policy_version, {}).get(arm, 0) / BUCKETS
        if policy_version >= document.trial_version and 0 < share < 1:
            yield Stratum(share, requests, events, other_requests, other_events, begins_s)


def samples(document: Document, totals: Sums) -> int:
    """Drawn requests of a rollout's candidate since its step began."""
    rollout, state = document.spec.rollout, document.rollout
    if rollout is None or state is None or state.candidate is None:
        return 0
    since = {key: value for key, value in totals.items() if key.policy_version >= state.since_version}
    return total(since, REQUESTS, [rollout.of], state.candidate.version)
