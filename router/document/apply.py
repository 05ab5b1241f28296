"""What each command does to a document.

`apply(document, command)` returns the next document or raises `Rejected`. It never changes its argument.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from router.document import learning, rollout
from router.document.bindings import away_from_quarantine, bind_names, binding_of
from router.document.commands import (
    Abort,
    Advance,
    Bind,
    Command,
    Declare,
    Follow,
    Hold,
    Pause,
    Promote,
    PromoteShadow,
    Release,
    Reset,
    Resume,
    Shift,
    Start,
    Undo,
    Withdraw,
)
from router.document.declare import first_document, redeclare
from router.document.document import Document
from router.document.phase import Event, next_phase
from router.document.promote_shadow import promote_shadow
from router.document.quarantine import add_to_quarantine, release
from router.document.shift import check_arm, limits_without, slots_after_shift, slots_without
from router.document.undo import undo
from router.draw.slots import reallocate
from router.errors import Rejected


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
    if spec.learns:
        return learning.shift(document, weights, command.at_s)
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
    if spec.learns and command.arm is None:
        return learning.abort(document, command.at_s)
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
    if spec.learns:
        document = learning.without_arm(document, weights, command.at_s)
    limits = limits_without(spec, command.arm, weights)
    emptied = replace(
        document, spec=replace(spec, split=weights, limits=limits), slots=reallocate(document.slots, weights)
    )
    if not command.is_held:
        return emptied
    model = spec.arms[command.arm].model
    held = add_to_quarantine(emptied, model=model, candidate=bound, at_s=command.at_s, why=command.why)
    return away_from_quarantine(held, command.arm, command.at_s)


def _start(document: Document, command: Start) -> Document:
    if document.spec.learns or command.candidate is None:
        return learning.start(document, command.at_s)
    return rollout.begin(document, Event.START, command.candidate, command.at_s)


def _resume(document: Document, command: Resume) -> Document:
    return learning.resume(document) if document.spec.learns else rollout.resume(document, command.at_s)


def _promote(document: Document, command: Promote) -> Document:
    if document.spec.learns:
        return learning.promote(document, command.arm, command.at_s)
    if command.arm not in (None, document.spec.rollout and document.spec.rollout.of):
        raise Rejected(f"Only the arm that is rolled out can be promoted, not {command.arm}.")
    return rollout.promote(document, command.at_s)


def _release(document: Document, command: Release) -> Document:
    out = release(document, command.version)
    return replace(out, trial_version=document.version + 1, trial_s=command.at_s)


_APPLY: dict[type, Callable[[Document, Any], Document]] = {
    Declare: lambda document, command: redeclare(document, command.spec, command.at_s, command.bound),
    Shift: _shift,
    Start: _start,
    Pause: lambda document, _: learning.pause(document) if document.spec.learns else rollout.pause(document),
    Resume: _resume,
    Promote: _promote,
    PromoteShadow: lambda document, command: promote_shadow(document, command.shadow, command.candidate, command.at_s),
    Abort: _abort,
    Undo: lambda document, command: undo(document, command.to, command.at_s, command.named),
    Release: _release,
    Advance: lambda document, command: rollout.advance(document, command.at_s),
    Hold: lambda document, _: learning.hold(document) if document.spec.learns else rollout.hold(document),
    Reset: lambda document, command: learning.reset(document, command.arm, command.at_s),
    Follow: lambda document, command: rollout.begin(document, Event.FOLLOW, command.candidate, command.at_s),
    Withdraw: lambda document, command: rollout.withdraw(document, command.candidate, command.at_s),
    Bind: lambda document, command: bind_names(document, command.bound, command.at_s),
}
