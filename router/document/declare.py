"""Applying a declaration to a document."""

from collections.abc import Mapping
from dataclasses import replace

from router.document import rollout
from router.document.bindings import declared_bindings
from router.document.document import Candidate, Document, RolloutState
from router.document.learning import first_state, kept_weights, redeclared_state
from router.document.phase import UNDER_WAY, Phase
from router.document.promoted_base import based_on_promoted
from router.document.quarantine import find_quarantined
from router.document.shift import limits_without, slots_without
from router.draw.slots import SlotTable, allocate, reallocate, require_a_slot
from router.errors import Rejected
from router.quantities import format_percent
from router.spec.parse_limits import check_limits
from router.spec.spec import ArmRef, RouteSpec

TAKEN = frozenset({"stats"})
"""Names of routes that the paths of the protocol use for something else."""


def first_document(spec: RouteSpec, at_s: float, named: Mapping[str, Candidate]) -> Document:
    """Return the first version of a route's document. `named` holds what each reference names now.

    Raises:
        Rejected: if a path of the protocol has the name already, or a share is less than a slot.
    """
    if spec.route in TAKEN:
        raise Rejected(f"No route can be called {spec.route}: GET /v2/models/{spec.route} is about all routes.")
    _check_base(spec)
    state = None if spec.rollout is None else RolloutState()
    bound, _ = declared_bindings(None, spec, named)
    slots = allocate(_declared_slots(spec))
    return Document(
        version=1,
        spec=spec,
        slots=slots,
        rollout=state,
        trial_s=at_s,
        bound=bound,
        declared_us=round(at_s * 1_000_000),
        learning=first_state(spec, 1, at_s),
    )


def redeclare(document: Document, spec: RouteSpec, at_s: float, named: Mapping[str, Candidate]) -> Document:
    """Return the document with another declaration. Slots move as little as its weights allow.

    `named` holds the version that each reference names now, as far as that is known. What is new is bound to it. An arm
    of a split whose version is in quarantine keeps no traffic.

    Raises:
        Rejected: if the declaration is of another route, changes what is being rolled out, takes all traffic from a
            promoted version, or limits an arm to less traffic than it has.
    """
    known = document.spec
    if known.route != spec.route:
        raise Rejected(f"The document is of route {known.route}, the declaration of route {spec.route}.")
    _check_base(spec)
    state = None if spec.rollout is None else rollout.redeclared_state(document, spec)
    is_kept = state is not None and state.candidate is not None
    own, followed = declared_bindings(document if is_kept else based_on_promoted(document), spec, named)
    bound = {**named, **own}
    spec = kept_weights(document, spec)
    spec = _without_quarantined(document, spec, bound)
    before = document.rollout
    if before is not None and before.phase in UNDER_WAY - {Phase.PAUSED} and not is_kept:
        raise Rejected(
            f"A rollout is {before.phase}, and the declaration changes what is rolled out; pause or abort it first."
        )
    if before is not None and before.phase is Phase.PROMOTED and not is_kept:
        _check_promoted(document, spec, bound)
    slots = _kept_slots(document, spec) if is_kept else reallocate(document.slots, _declared_slots(spec))
    changed = replace(
        document,
        spec=spec,
        slots=slots,
        rollout=state,
        bound=own,
        followed=followed,
        learning=redeclared_state(document, spec, at_s),
        models=None,
    )
    if state is not None and state.phase in UNDER_WAY:
        check_limits(changed.weights, spec.limits)
    if _trial_subject(known) == _trial_subject(spec):
        return changed
    return replace(changed, trial_version=document.version + 1, trial_s=at_s)


def _check_base(spec: RouteSpec) -> None:
    for arm, share in spec.rollout.base.items() if spec.rollout is not None else ():
        require_a_slot(share, f"rollout.from.{arm}")


def _without_quarantined(document: Document, spec: RouteSpec, bound: Mapping[str, Candidate]) -> RouteSpec:
    """Return the declaration with no weight for the arms of a split whose version is in quarantine.

    If no arm can have their traffic, the weights are kept: binding the route refuses them.
    """
    held = [
        arm
        for arm in spec.split or ()
        if arm in bound and find_quarantined(document, spec.arms[arm].model, bound[arm].digest) is not None
    ]
    for arm in held:
        split = spec.split or {}
        if not split[arm]:
            continue
        try:
            weights = slots_without(replace(document, spec=spec, slots=allocate(split)), arm)
        except Rejected:
            return spec
        spec = replace(spec, split=weights, limits=limits_without(spec, arm, weights))
    return spec


def _check_promoted(document: Document, spec: RouteSpec, bound: Mapping[str, Candidate]) -> None:
    """Reject a rollout whose other arms would take all traffic from the promoted version and serve another one."""
    known, state = document.spec.rollout, document.rollout
    if known is None or state is None or state.candidate is None or spec.rollout is None:
        return
    model, promoted = document.spec.arms[known.of].model, state.candidate
    other = [arm for arm in spec.rollout.base if not _serves(spec.arms[arm], bound.get(arm), model, promoted)]
    if other:
        back = " ".join(f"{arm}={format_percent(share)}" for arm, share in spec.rollout.base.items())
        raise Rejected(
            f"{model}:{promoted.version} is promoted and has all the traffic of route {spec.route}. This declaration "
            f"would give it to arm {' and '.join(other)}, which serves another version. Bind that arm to "
            f"{model}:{promoted.version} first (in the file, or by its alias). If you want the other version back, say "
            f"`pointsman shift {spec.route} {back}` first."
        )


def _serves(ref: ArmRef, bound: Candidate | None, model: str, promoted: Candidate) -> bool:
    if ref.model != model:
        return False
    return ref.version == promoted.version if bound is None else bound.digest == promoted.digest


def _kept_slots(document: Document, spec: RouteSpec) -> SlotTable:
    """Return slots in which every arm keeps what it has. If arms were added or removed, only the candidate does."""
    if spec.rollout is None or document.spec.arms.keys() == spec.arms.keys():
        return document.slots
    return reallocate(document.slots, rollout.slots_at(spec, document.weights[spec.rollout.of]))


def _trial_subject(spec: RouteSpec) -> object:
    """Return the parts of a spec that the guardrails' evidence is about."""
    return spec.arms, spec.guardrails, spec.guarded_arms, spec.rollout is None, spec.learns


def _declared_slots(spec: RouteSpec) -> Mapping[str, int]:
    return spec.split if spec.split is not None else rollout.slots_at(spec, 0)
