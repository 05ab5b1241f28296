"""The change that is due to a route by itself.

The gateway tries three changes in this order: abort a bad arm, follow an alias (`router.document.follow`), go to the
next step.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from router.document import rollout
from router.document.commands import Abort, Advance, Command, Hold
from router.document.document import Candidate, Document
from router.document.phase import UNDER_WAY, Event
from router.evidence.guardrails import GuardrailFinding
from router.evidence.verdict import VerdictState


class DueChange(NamedTuple):
    """A change that is due.

    `what` is its name in the history. `finding` is None unless a guardrail demands the change.
    """

    command: Command
    what: str
    why: str
    finding: GuardrailFinding | None = None


def may_be_due(document: Document) -> bool:
    """Return True if a change to the document may become due by itself."""
    if document.rollout is not None:
        return document.rollout.phase in UNDER_WAY
    return bool(document.spec.guardrails)


def abort_due(
    document: Document, findings: tuple[GuardrailFinding, ...], bound: Mapping[str, Candidate], now_s: float
) -> DueChange | None:
    """Return the abort of the first unhealthy arm with traffic, or None. `bound` is what serves each arm now."""
    for finding in findings:
        if finding.verdict.state is VerdictState.UNHEALTHY and document.weights[finding.arm]:
            why = finding.verdict.reason
            command = Abort(now_s, why, finding.arm, bound[finding.arm])
            return DueChange(command, f"abort {finding.arm}: {finding.guardrail}", why, finding)
    return None


def is_blind(findings: Iterable[GuardrailFinding]) -> bool:
    """Return True if a guardrail cannot see what it watches for. A rollout then goes no further by itself."""
    return any(finding.verdict.state is VerdictState.BLIND for finding in findings)


def step_due(
    document: Document, findings: tuple[GuardrailFinding, ...], samples: int, observed_s: float, now_s: float
) -> DueChange | None:
    """Return the end of the rollout's step if it is over, or None, also while a guardrail is blind.

    The step was observed for `observed_s` seconds. `samples` counts the candidate's requests since the step began.
    """
    if is_blind(findings):
        return None
    event = rollout.due_event(document, observed_s, samples)
    if event is None:
        return None
    why = f"The step is over, with {samples} request{'' if samples == 1 else 's'}."
    if event is Event.HOLD:
        return DueChange(
            Hold(), "hold", f"{why} The next one needs approval: `pointsman resume {document.spec.route}`."
        )
    return DueChange(Advance(now_s), "advance", why)
