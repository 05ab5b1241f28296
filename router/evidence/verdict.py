"""The verdict of a guardrail on an arm: a state, and a sentence with the numbers."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from router.evidence.evidence import Evidence
from router.rewards.sums import in_units
from router.spec.metric import MetricSpec

FEW_UNITS = "too few units have most of the bad requests, or most of the traffic"
"""Why the requests of an arm may say more than its units."""


class VerdictState(StrEnum):
    """What the counts say about an arm."""

    HEALTHY = "HEALTHY"  # "worse than allowed" is ruled out
    UNHEALTHY = "UNHEALTHY"  # "not worse than allowed" is ruled out
    UNDECIDED = "UNDECIDED"  # neither is ruled out yet, or there are no data
    BLIND = "BLIND"  # the log has nothing in which the bad event could be seen


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verdict. For an arm that is not worse, `p_value` bounds the probability of as much evidence at any time.

    `awaits_units` is True if the arm is UNHEALTHY by its requests, but not by its units.
    """

    state: VerdictState
    reason: str
    p_value: float
    awaits_units: bool = False


@dataclass(frozen=True, slots=True)
class EventCount:
    """The number of events among a number of requests or answers. An answer may count in part."""

    events: float
    requests: int

    def __str__(self) -> str:
        share = f" ({100 * self.events / self.requests:.3g}%)" if self.requests else ""
        events = f"{self.events:.2f}".rstrip("0").rstrip(".")
        return f"{events} of {self.requests}{share}"

    def mean(self, metric: MetricSpec) -> str:
        """Return the mean of a metric, if the events are how far decisions fell short of its largest value."""
        share = 1 - self.events / max(self.requests, 1)
        return f"{in_units(share, metric):.4g} over {round(self.requests)} decisions"


def judge(
    *,
    what: str,
    arm: str,
    evidence: Evidence,
    alpha: float,
    counted: EventCount,
    allowed: float,
    others: EventCount | None,
    by_units: Evidence | None = None,
    beside: str = "",
    things: str = "requests",
    metric: MetricSpec | None = None,
) -> Verdict:
    """Return the verdict on one arm by one guardrail at level `alpha`.

    `what` says what an event is ("failed", "took longer than 50ms"). `allowed` is by how much the rate may exceed that
    of `others`, which are the requests of the arm `beside`. If `others` is None, it is how high the rate may be.
    `by_units` is None unless units are drawn. Then a verdict needs the evidence by units, too. If a `metric` is given,
    the events are how far decisions fell short of its largest value.
    """
    if not counted.requests:
        return Verdict(VerdictState.UNDECIDED, f"No {things} of {arm} have been counted yet.", 1.0)
    needed = -math.log(alpha)
    by_requests = evidence
    evidence = by_requests if by_units is None else Evidence(*map(min, by_requests, by_units))
    p_value = _p_value(evidence.against)
    if evidence.against >= needed:
        state = VerdictState.UNHEALTHY
    elif evidence.in_favour >= needed:
        state = VerdictState.HEALTHY
    else:
        state = VerdictState.UNDECIDED
    said = f"{counted} {things} of {arm} {what}"
    of_others = f"{others} of {beside}"
    more = "more"
    if metric is not None and others is not None:
        said, of_others = (f"{each.mean(metric)} of {name}" for each, name in ((counted, arm), (others, beside)))
        said, more = f"{metric.name} has a mean of {said}", "of the range less"
    if others is None:
        compared = f"allowed is {_percent(allowed)}"
    elif allowed > 0:
        compared = f"against {of_others}; allowed is {_percent(allowed)} {more}"
    else:
        compared = f"against {of_others}; allowed is no {more.split()[-1]}"
    p = f"p <= {p_value:.2g}"
    if state is VerdictState.HEALTHY:
        p = f"That it is worse has p <= {_p_value(evidence.in_favour):.2g}"
    sentence = f"{said}, {compared}. {p}, alpha {alpha:.2g}."
    awaits_units = state is VerdictState.UNDECIDED and by_requests.against >= needed
    if awaits_units:
        sentence += f" By requests alone it is worse, but that may be chance: {FEW_UNITS}."
    return Verdict(state, sentence, p_value, awaits_units)


def blind(arm: str, why: str) -> Verdict:
    """Return the verdict of a guardrail that cannot see what it watches for."""
    return Verdict(VerdictState.BLIND, f"{why}, so nothing is known of {arm}.", 1.0)


def worst(verdicts: Iterable[Verdict]) -> VerdictState:
    """Return UNHEALTHY if any verdict is, else BLIND if any is, HEALTHY if all are, and otherwise UNDECIDED."""
    states = {verdict.state for verdict in verdicts}
    for state in (VerdictState.UNHEALTHY, VerdictState.BLIND):
        if state in states:
            return state
    return VerdictState.HEALTHY if states == {VerdictState.HEALTHY} else VerdictState.UNDECIDED


def spend(alpha: float, guardrails: int) -> float:
    """Return the level of each guardrail at which all together are wrong with probability at most `alpha` (Bonferroni).

    Each guardrail counts once for each arm that it watches: two arms with three guardrails are six.
    """
    return alpha / max(guardrails, 1)


def _p_value(evidence: float) -> float:
    """Return the p-value by Ville's inequality. Without evidence it is 1."""
    return math.exp(-max(evidence, 0.0))


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"
