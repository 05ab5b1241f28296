"""What is to happen to a route by itself: a bad arm goes first, then a new version is followed, then steps. Decides."""

from collections.abc import Mapping
from typing import NamedTuple

from router.document import rollout
from router.document.commands import Abort, Advance, Command, Follow, Hold
from router.document.document import Candidate, Document
from router.document.phase import UNDER_WAY, Event
from router.evidence.guardrails import Finding
from router.evidence.verdict import VerdictState


class Move(NamedTuple):
    """A change that is due, what it is called in the history, and why; with the guardrail that demands it, if any."""

    command: Command
    what: str
    why: str
    found: Finding | None = None


def is_moving(document: Document) -> bool:
    """Whether there may be something to do by itself."""
    if document.rollout is not None:
        return document.rollout.phase in UNDER_WAY
    return bool(document.spec.guardrails)


def abort_due(
    document: Document, findings: tuple[Finding, ...], bound: Mapping[str, Candidate], now_s: float
) -> Move | None:
    """The arm that is to lose its traffic, if a guardrail found one. `bound` is what serves each arm now."""
    weights = document.weights
    for found in findings:
        if found.verdict.state is VerdictState.UNHEALTHY and weights[found.arm]:
            why = found.verdict.reason
            command = Abort(now_s, why, found.arm, bound[found.arm])
            return Move(command, f"abort {found.arm}: {found.guardrail}", why, found)
    return None


def follow_due(document: Document, named: Candidate, now_s: float) -> Move | None:
    """Whether the rollout begins anew, because its candidate's alias names another version now."""
    if not rollout.follows(document, named):
        return None
    why = f"The alias names version {named.version} now."
    return Move(Follow(named, now_s), f"follow to {named.version}", why)


def step_due(document: Document, samples: int, now_s: float) -> Move | None:
    """Whether the rollout's step is over; `samples` are the candidate's requests since it began."""
    event = rollout.due(document, now_s, samples)
    if event is None:
        return None
    why = f"The step is over, with {samples} request{'' if samples == 1 else 's'}."
    if event is Event.HOLD:
        return Move(Hold(), "hold", f"{why} The next one needs approval: `pointsman resume {document.spec.route}`.")
    return Move(Advance(now_s), "advance", why)
