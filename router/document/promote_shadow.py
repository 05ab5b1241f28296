"""Making the version of a shadow the candidate of the route's rollout."""

from dataclasses import replace

from router.document import rollout
from router.document.bindings import declared_bindings
from router.document.document import Candidate, Document
from router.document.phase import Event
from router.document.promoted_base import based_on_promoted
from router.errors import Rejected
from router.refusals import short_repr
from router.spec.spec import Starts


def promote_shadow(document: Document, name: str, candidate: Candidate, at_s: float) -> Document:
    """Begin the rollout of a shadow's version. If the shadow is the candidate's arm already, only begin the rollout.

    An arm that is bound to a version from now on follows no alias, so an operator starts its next rollout. If this one
    starts by alias, the other arms are first bound to the version that was promoted, if one was.

    Raises:
        Rejected: if there is no such shadow, it is another arm, or the rollout cannot begin now.
    """
    spec = document.spec
    current, _ = rollout.spec_and_state(document)
    shadow = next((each for each in spec.shadows if each.name == name), None)
    if shadow is None:
        names = ", ".join(each.name for each in spec.shadows) or "none"
        raise Rejected(f"Route {spec.route} has no shadow {short_repr(name)}; there: {names}.")
    if shadow.arm not in (None, current.of):
        raise Rejected(
            f"Shadow {shadow.arm} is another arm of the route; what can be promoted is arm {current.of}, or a version."
        )
    ref = shadow.ref if shadow.ref is not None else spec.arms[current.of]
    starts = current.starts if ref.alias is not None else Starts.BY_HAND
    declared = replace(
        spec,
        arms={**spec.arms, current.of: ref},
        shadows=tuple(each for each in spec.shadows if each is not shadow),
        rollout=replace(current, starts=starts),
    )
    based = based_on_promoted(document)
    bound, followed = declared_bindings(based, declared, {})
    changed = replace(based, spec=declared, bound=bound, followed=followed)
    return rollout.begin(changed, Event.START, candidate, at_s)
