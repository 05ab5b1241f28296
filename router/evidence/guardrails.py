"""The findings of a route's guardrails on its arms, from the sums.

Requests of an arm are compared with those of the trusted arm. Other arms may be bad themselves, so nothing is held
against them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from router.document.document import Document
from router.evidence.bound import compare_to_bound
from router.evidence.evidence import Evidence, Stratum, compare, compare_values
from router.evidence.looks import Look, looks_of
from router.evidence.reward_counts import NO_REWARDS, complete_counts
from router.evidence.strata import Counted, Watched
from router.evidence.sums import FLIPS, MILLION, MISSING, PAIRS, REQUESTS, UNSEEN, Sums, total
from router.evidence.units import compare_units, compare_units_to_bound
from router.evidence.verdict import EventCount, Verdict, blind, judge, spend
from router.evidence.weighed import compare_weighed
from router.evidence.weighed_values import compare_weighed_values
from router.spec.metric import MetricSpec


@dataclass(frozen=True, slots=True)
class GuardrailFinding:
    """The verdict of one guardrail on one arm."""

    arm: str
    guardrail: str
    verdict: Verdict


def findings(document: Document, *, versions: Mapping[str, str], counted: Counted) -> tuple[GuardrailFinding, ...]:
    """Return the findings of every guardrail on every arm that it watches.

    `versions` holds the model version that serves each arm now. Counts of another version of the arm are left out, and
    an arm that no version serves gets no finding.
    """
    spec = document.spec
    looks = [look for guardrail in spec.guardrails for look in looks_of(guardrail)]
    alpha = spend(float(spec.alpha), len(looks) * len(spec.guarded_arms))
    return tuple(
        GuardrailFinding(arm, look.name, _judge(Watched(document, arm, versions[arm], counted), look, alpha))
        for arm in spec.guarded_arms
        if arm in versions
        for look in looks
    )


def _judge(watched: Watched, look: Look, alpha: float) -> Verdict:
    if look.event == FLIPS:
        return _judge_disagreement(watched, look, alpha)
    if look.event == MISSING and watched.total(UNSEEN):
        return blind(watched.arm, "The log keeps no output of this model in which a value could be missing")
    if look.metric:
        return _judge_reward(watched, look, alpha)
    return _judge_events(watched, look, alpha)


def _judge_events(watched: Watched, look: Look, alpha: float, metric: MetricSpec | None = None) -> Verdict:
    document = watched.document
    strata = watched.strata(look)
    return judge(
        what=look.what,
        arm=watched.arm,
        evidence=_by_requests(watched, look, strata),
        by_units=compare_units(watched.unit_strata(look), look.margin) if document.spec.unit is not None else None,
        alpha=alpha,
        counted=EventCount(sum(each.events for each in strata), sum(each.requests for each in strata)),
        allowed=look.margin,
        others=EventCount(sum(each.other_events for each in strata), sum(each.other_requests for each in strata)),
        beside=watched.trusted,
        things="decisions that have matured" if metric is not None else "requests",
        metric=metric,
    )


def _by_requests(watched: Watched, look: Look, strata: Sequence[Stratum]) -> Evidence:
    document = watched.document
    if document.spec.learns and look.metric:
        return compare_weighed_values(watched.weighed_values(look), look.margin)
    if document.spec.learns:
        return compare_weighed(watched.weighed_strata(look), look.margin)
    by_unit = not _is_drawn_each_time(document)
    return (compare_values if look.metric else compare)(strata, look.margin, by_unit=by_unit)


def _judge_reward(watched: Watched, look: Look, alpha: float) -> Verdict:
    """Judge the mean of a metric. While rewards do not come, nothing is held against an arm."""
    counts = watched.counted.rewards.get(look.metric, NO_REWARDS)
    silent = [arm for arm in (watched.arm, watched.trusted) if arm in counts.silent]
    if silent:
        return blind(watched.arm, f"The rewards of {look.metric} have stopped for {' and '.join(silent)}")
    metric = next(each for each in watched.document.spec.metrics if each.name == look.metric)
    rewards = {look.metric: complete_counts(counts, (watched.arm, watched.trusted))}
    return _judge_events(watched._replace(counted=watched.counted._replace(rewards=rewards)), look, alpha, metric)


def _is_drawn_each_time(document: Document) -> bool:
    """Return True if an arm's share of the requests is its weight.

    It is not if units stay with their arms. Nor is it in a split, where the version that is counted may have come to
    its arm in the middle of a policy version.
    """
    return document.spec.unit is None and document.spec.rollout is not None


def _judge_disagreement(watched: Watched, look: Look, alpha: float) -> Verdict:
    """Judge the pairs of this arm and the trusted arm. A pair counts once, by the share of its instances that flip."""
    pairs, flips = watched.total_of_pairs(PAIRS), watched.total_of_pairs(FLIPS) / MILLION
    if not pairs and watched.total_of_pairs(UNSEEN):
        why = f"The log keeps no output of this model that could be compared with {watched.trusted}'s"
        return blind(watched.arm, why)
    by_units: Evidence | None = None
    if watched.document.spec.unit is not None:
        by_group = watched.groups_of_pairs(PAIRS), watched.groups_of_pairs(FLIPS) / MILLION
        by_units = compare_units_to_bound(*by_group, look.margin)
    return judge(
        what=f"{look.what} from what {watched.trusted} answers",
        arm=watched.arm,
        evidence=compare_to_bound(pairs, flips, look.margin),
        by_units=by_units,
        alpha=alpha,
        counted=EventCount(flips, pairs),
        allowed=look.margin,
        others=None,
        things="answers",
    )


def count_samples(document: Document, totals: Sums) -> int:
    """Count the drawn requests of a rollout's candidate since its step began."""
    rollout, state = document.spec.rollout, document.rollout
    if rollout is None or state is None or state.candidate is None:
        return 0
    since = {key: value for key, value in totals.items() if key.policy_version >= state.since_version}
    return total(since, REQUESTS, [rollout.of], state.candidate.version)
