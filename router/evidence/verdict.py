"""What a guardrail says of an arm: a state, and a sentence with the numbers. Decides."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from router.evidence.evidence import Evidence


class VerdictState(StrEnum):
    """What is known."""

    HEALTHY = "HEALTHY"  # not worse than allowed: that it is can be ruled out
    UNHEALTHY = "UNHEALTHY"  # worse than allowed: that it is not can be ruled out
    UNDECIDED = "UNDECIDED"  # neither can be ruled out (yet); also without any data


@dataclass(frozen=True, slots=True)
class Verdict:
    """`p_value` bounds the probability of as much evidence against an arm, at any time, that is not worse."""

    state: VerdictState
    reason: str
    p_value: float


@dataclass(frozen=True, slots=True)
class Counted:
    """Events among so many requests (or whatever is counted)."""

    events: int
    requests: int

    def __str__(self) -> str:
        share = f" ({100 * self.events / self.requests:.3g}%)" if self.requests else ""
        return f"{self.events} of {self.requests}{share}"


def judge(
    *,
    what: str,
    arm: str,
    evidence: Evidence,
    alpha: float,
    counted: Counted,
    allowed: float,
    others: Counted | None,
    things: str = "requests",
) -> Verdict:
    """The verdict on one arm by one guardrail at level `alpha`.

    `what` is what happened to the events ("failed", "took longer than 50ms"). `allowed` is by how much the rate may
    exceed that of the others, or, where there are none to compare with, how high it may be.
    """
    p_value = _p_value(evidence.against)
    if not counted.requests:
        return Verdict(VerdictState.UNDECIDED, f"No {things} of {arm} have been counted yet.", 1.0)
    needed = -math.log(alpha)
    if evidence.against >= needed:
        state = VerdictState.UNHEALTHY
    elif evidence.in_favour >= needed:
        state = VerdictState.HEALTHY
    else:
        state = VerdictState.UNDECIDED
    if others is None:
        compared = f"allowed is {_percent(allowed)}"
    elif allowed > 0:
        compared = f"against {others} of the other arms; allowed is {_percent(allowed)} more"
    else:
        compared = f"against {others} of the other arms; allowed is no more than theirs"
    p = f"p <= {p_value:.2g}"
    if state is VerdictState.HEALTHY:
        p = f"That it is worse has p <= {_p_value(evidence.in_favour):.2g}"
    return Verdict(state, f"{counted} {things} of {arm} {what}, {compared}. {p}, alpha {alpha:.2g}.", p_value)


def worst(verdicts: Iterable[Verdict]) -> VerdictState:
    """UNHEALTHY if any verdict is, HEALTHY if all are; else UNDECIDED, as it is without any."""
    states = {verdict.state for verdict in verdicts}
    if VerdictState.UNHEALTHY in states:
        return VerdictState.UNHEALTHY
    return VerdictState.HEALTHY if states == {VerdictState.HEALTHY} else VerdictState.UNDECIDED


def spend(alpha: float, guardrails: int) -> float:
    """The level of each guardrail so that all together are wrong with probability at most `alpha` (Bonferroni).

    An arm that is watched by a guardrail counts as one: two arms with three guardrails each are six.
    """
    return alpha / max(guardrails, 1)


def _p_value(evidence: float) -> float:
    """By Ville's inequality; no evidence at all is 1."""
    return math.exp(-max(evidence, 0.0))


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"
