"""What each guardrail looks at: the bad event, and the requests among which it is counted."""

from typing import NamedTuple

from router.evidence.reward_counts import DECISIONS, SHORTFALL
from router.evidence.sums import ERRORS, FLIPS, LEFT, MISSING, PAIRS, REQUESTS, slow
from router.quantities import format_duration
from router.spec.spec import Guardrail, GuardrailKind


class Look(NamedTuple):
    """One comparison. `name` stands in the history, the metrics and the status.

    `event` is the sum of the bad events, `among` are the sums of the requests among which they are, and `what` says
    what happened to those requests. If the look is at a `metric`, they are sums of `router.evidence.reward_counts`.
    """

    name: str
    event: str
    what: str
    margin: float
    among: tuple[str, ...] = (REQUESTS,)
    metric: str = ""


def looks_of(guardrail: Guardrail) -> tuple[Look, ...]:
    """Return what a guardrail looks at.

    `errors` looks at two things, each by itself: requests that failed, and requests whose callers left. An arm that
    hangs fails nothing if its callers wait for less than its deadline.
    """
    margin = float(guardrail.margin)
    match guardrail.kind:
        case GuardrailKind.ERRORS:
            return (
                Look("errors", ERRORS, "failed", margin),
                Look("callers left", LEFT, "lost their callers before the answer", margin, (REQUESTS, LEFT)),
            )
        case GuardrailKind.MISSING_OUTPUTS:
            return (Look(str(guardrail.kind), MISSING, "were answered with a value missing", margin),)
        case GuardrailKind.DISAGREEMENT:
            return (Look(str(guardrail.kind), FLIPS, "differ", margin, (PAIRS,)),)
        case GuardrailKind.REWARD:
            metric = guardrail.metric
            return (Look(f"{guardrail.kind} {metric}", SHORTFALL, "fell short", margin, (DECISIONS,), metric),)
        case GuardrailKind.SLOWER_THAN:
            threshold = format_duration(guardrail.slower_than_us / 1e6)
            event, what = slow(guardrail.slower_than_us), f"took longer than {threshold}"
            return (Look(f"{guardrail.kind} {threshold}", event, what, margin, (REQUESTS, LEFT)),)
