"""Applying a declaration to a document."""

from collections.abc import Mapping
from dataclasses import replace

from router.document import rollout
from router.document.document import Document, RolloutState
from router.document.phase import UNDER_WAY, Phase
from router.draw.slots import SlotTable, allocate, reallocate
from router.errors import Rejected
from router.spec.parse_limits import check_limits
from router.spec.spec import RouteSpec


def first_document(spec: RouteSpec, at_s: float) -> Document:
    """Return the first version of a route's document."""
    state = None if spec.rollout is None else RolloutState()
    return Document(version=1, spec=spec, slots=allocate(_declared_slots(spec)), rollout=state, trial_s=at_s)


def redeclare(document: Document, spec: RouteSpec, at_s: float) -> Document:
    """Return the document with another declaration. Slots move as little as its weights allow.

    Raises:
        Rejected: if the declaration is of another route, changes what is being rolled out, or limits an arm to less
            traffic than it has.
    """
    known = document.spec
    if known.route != spec.route:
        raise Rejected(f"The document is of route {known.route}, the declaration of route {spec.route}.")
    state = None if spec.rollout is None else rollout.redeclared_state(document, spec)
    is_kept = state is not None and state.candidate is not None
    before = document.rollout
    if before is not None and before.phase in UNDER_WAY - {Phase.PAUSED} and not is_kept:
        raise Rejected(
            f"A rollout is {before.phase}, and the declaration changes what is rolled out; "
            "pause, promote or abort it first."
        )
    slots = _kept_slots(document, spec) if is_kept else reallocate(document.slots, _declared_slots(spec))
    changed = replace(document, spec=spec, slots=slots, rollout=state)
    if state is not None and state.phase in UNDER_WAY:
        check_limits(changed.weights, spec.limits)
    if _trial_subject(known) == _trial_subject(spec):
        return changed
    return replace(changed, trial_version=document.version + 1, trial_s=at_s)


def _kept_slots(document: Document, spec: RouteSpec) -> SlotTable:
    """Return slots in which every arm keeps what it has. If arms were added or removed, only the candidate does."""
    if spec.rollout is None or document.spec.arms.keys() == spec.arms.keys():
        return document.slots
    return reallocate(document.slots, rollout.slots_at(spec, document.weights[spec.rollout.of]))


def _trial_subject(spec: RouteSpec) -> object:
    """Return the parts of a spec that the guardrails' evidence is about."""
    return spec.arms, spec.guardrails, spec.guarded_arms, spec.rollout is None


def _declared_slots(spec: RouteSpec) -> Mapping[str, int]:
    return spec.split if spec.split is not None else rollout.slots_at(spec, 0)
