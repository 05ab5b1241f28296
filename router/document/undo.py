"""Going back to an earlier version of a document."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from router.document.bindings import undone_bindings
from router.document.document import Candidate, Document
from router.document.phase import PINNED, UNDER_WAY, Phase
from router.document.quarantine import find_quarantined
from router.errors import Rejected


def undo(
    document: Document, then: Document, at_s: float, named: Mapping[str, Candidate] = MappingProxyType({})
) -> Document:
    """Return the document with the slots and bindings of the version `then`, so every unit is back at its arm.

    What the aliases name now (`named`), where it is another version, is held: they do not lead to it by themselves. A
    rollout that was under way in that version is PAUSED.

    Raises:
        Rejected: if it is of another route, or gives traffic to a candidate that is in quarantine.
    """
    if then.spec.route != document.spec.route:
        raise Rejected(f"The document is of route {document.spec.route}, the earlier one of route {then.spec.route}.")
    state = then.rollout
    if state is not None:
        phase = Phase.PAUSED if state.phase in UNDER_WAY else state.phase
        state = replace(state, phase=phase, since_s=at_s, since_version=document.version + 1)
    learning = then.learning
    if learning is not None:
        phase = Phase.PAUSED if then.spec.learns and learning.phase in UNDER_WAY else learning.phase
        learning = replace(learning, phase=phase, since_s=at_s, since_version=document.version + 1)
    bound, followed = undone_bindings(document, then, named)
    undone = replace(
        then,
        bound=bound,
        followed=followed,
        version=document.version,
        rollout=state,
        learning=learning,
        quarantine=document.quarantine,
        trial_version=document.version + 1,
        trial_s=at_s,
    )
    if then.spec.rollout is not None and state is not None and state.candidate is not None:
        of = then.spec.rollout.of
        held = find_quarantined(document, then.spec.arms[of].model, state.candidate.digest)
        if held is not None and state.phase in PINNED:
            raise Rejected(
                f"Version {then.version} rolled out {held.name}, which is in quarantine: "
                f"{held.way_back(then.spec.route)}"
            )
    return undone
