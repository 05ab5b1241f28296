"""The commands that change a document. Operators give them, and so do rollouts and guardrails by themselves.

`apply(document, command)` returns the next document or raises `Rejected`. It never changes its argument. Times are
seconds since the epoch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from router.document import rollout
from router.document.bindings import away_from_quarantine, bind_names, binding_of
from router.document.declare import first_document, redeclare
from router.document.document import Candidate, Document
from router.document.phase import Event, next_phase
from router.document.promote_shadow import promote_shadow
from router.document.quarantine import add_to_quarantine, release
from router.document.shift import check_arm, limits_without, slots_after_shift, slots_without
from router.document.undo import undo
from router.draw.slots import reallocate
from router.errors import Rejected
from router.spec.spec import RouteSpec


@dataclass(frozen=True, slots=True)
class Declare:
    """Make the route what `spec` declares. Slots move as little as the new weights allow.

    `bound` holds the version that each reference names now, as far as that is known: what is new in the declaration is
    bound to it.
    """

    spec: RouteSpec
    at_s: float = 0.0
    bound: Mapping[str, Candidate] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Shift:
    """Give the named arms these weights. The rest goes to the others in proportion to what they have."""

    weights: Mapping[str, Fraction]


@dataclass(frozen=True, slots=True)
class Start:
    """Begin the rollout of the candidate, which is the version that its arm's reference names now."""

    candidate: Candidate
    at_s: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Keep the weights as they are."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Continue after a pause, or approve the next step."""

    at_s: float


@dataclass(frozen=True, slots=True)
class Promote:
    """Give the candidate everything."""

    at_s: float


@dataclass(frozen=True, slots=True)
class PromoteShadow:
    """Make the version of a shadow the candidate, and begin its rollout."""

    shadow: str
    candidate: Candidate
    at_s: float


@dataclass(frozen=True, slots=True)
class Abort:
    """Take all traffic from an arm and put its version in quarantine.

    In a rollout `arm` may be left out. `bound` is the version that serves it now. Without `is_held` the version is not
    put in quarantine: another arm, which takes over the traffic, serves it as well.
    """

    at_s: float
    why: str
    arm: str | None = None
    bound: Candidate | None = None
    is_held: bool = True


@dataclass(frozen=True, slots=True)
class Undo:
    """Go back to the content of an earlier version of the document. What is in quarantine stays there.

    `named` holds what the aliases name now, as far as that is known. Where that is not what they were bound to then, it
    is not followed again until the alias names something else.
    """

    to: Document
    at_s: float
    named: Mapping[str, Candidate] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Release:
    """Let a version out of quarantine, such as `fraud:18`. A new trial begins, so earlier evidence does not count."""

    version: str
    at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Advance:
    """End the rollout's step and begin the next one."""

    at_s: float


@dataclass(frozen=True, slots=True)
class Hold:
    """End the rollout's step and wait for approval of the next one."""


@dataclass(frozen=True, slots=True)
class Follow:
    """Begin the rollout, or begin it anew, because the alias of its candidate names another version now."""

    candidate: Candidate
    at_s: float


@dataclass(frozen=True, slots=True)
class Withdraw:
    """End the rollout without a verdict, because the alias of its candidate names what the other arms serve."""

    candidate: Candidate
    at_s: float


@dataclass(frozen=True, slots=True)
class Bind:
    """Bind arms and shadows to what their aliases name now."""

    bound: Mapping[str, Candidate]
    at_s: float


OperatorCommand = Declare | Shift | Start | Pause | Resume | Promote | PromoteShadow | Abort | Undo | Release
Command = OperatorCommand | Advance | Hold | Follow | Withdraw | Bind


def apply(document: Document | None, command: Command) -> Document:
    """Return the next document.

    Raises:
        Rejected: if the command is not allowed on this document.
    """
    if document is None:
        if not isinstance(command, Declare):
            raise Rejected("There is no such route yet; declare it first with `pointsman apply -f FILE`.")
        return first_document(command.spec, command.at_s, command.bound)
    changed: Document = _APPLY[type(command)](document, command)
    return replace(changed, version=document.version + 1)


def _shift(document: Document, command: Shift) -> Document:
    spec, weights = document.spec, slots_after_shift(document, command.weights)
    slots = reallocate(document.slots, weights)
    if spec.rollout is None or document.rollout is None:
        return replace(document, spec=replace(spec, split=weights), slots=slots)
    phase = next_phase(document.rollout.phase, Event.SHIFT)
    return replace(document, slots=slots, rollout=replace(document.rollout, phase=phase))


def _abort(document: Document, command: Abort) -> Document:
    spec = document.spec
    if command.arm is not None:
        check_arm(document, command.arm)
    if spec.rollout is not None:
        if command.arm not in (None, spec.rollout.of):
            raise Rejected(f"Only arm {spec.rollout.of}, which is rolled out, can be aborted.")
        return rollout.abort(document, command.at_s, command.why, is_held=command.is_held)
    bound = None if command.arm is None else command.bound or binding_of(document, command.arm)
    if command.arm is None or bound is None:
        raise Rejected(f"Say which arm of {spec.route} is to be aborted; its arms are {', '.join(spec.arms)}.")
    if not document.weights[command.arm]:
        raise Rejected(f"Arm {command.arm} has no traffic that could be taken from it.")
    if spec.is_exclusive and command.arm == spec.trusted_arm:
        raise Rejected(
            f"Arm {command.arm} answers the requests that take no part in the draw; declare another fallback first."
        )
    weights = slots_without(document, command.arm)
    limits = limits_without(spec, command.arm, weights)
    emptied = replace(
        document, spec=replace(spec, split=weights, limits=limits), slots=reallocate(document.slots, weights)
    )
    if not command.is_held:
        return emptied
    model = spec.arms[command.arm].model
    held = add_to_quarantine(emptied, model=model, candidate=bound, at_s=command.at_s, why=command.why)
    return away_from_quarantine(held, command.arm, command.at_s)


def _release(document: Document, command: Release) -> Document:
    out = release(document, command.version)
    return replace(out, trial_version=document.version + 1, trial_s=command.at_s)


_APPLY: dict[type, Callable[[Document, Any], Document]] = {
    Declare: lambda document, command: redeclare(document, command.spec, command.at_s, command.bound),
    Shift: _shift,
    Start: lambda document, command: rollout.begin(document, Event.START, command.candidate, command.at_s),
    Pause: lambda document, _: rollout.pause(document),
    Resume: lambda document, command: rollout.resume(document, command.at_s),
    Promote: lambda document, command: rollout.promote(document, command.at_s),
    PromoteShadow: lambda document, command: promote_shadow(document, command.shadow, command.candidate, command.at_s),
    Abort: _abort,
    Undo: lambda document, command: undo(document, command.to, command.at_s, command.named),
    Release: _release,
    Advance: lambda document, command: rollout.advance(document, command.at_s),
    Hold: lambda document, _: rollout.hold(document),
    Follow: lambda document, command: rollout.begin(document, Event.FOLLOW, command.candidate, command.at_s),
    Withdraw: lambda document, command: rollout.withdraw(document, command.candidate, command.at_s),
    Bind: lambda document, command: bind_names(document, command.bound, command.at_s),
}
