"""What an arm of a rollout serves instead of the version that its alias names.

While a rollout is under way, an alias may be moved to the candidate: `champion` too early, for example. If the other
arm followed it, there would be nothing left to compare with, and nothing to go back to. So the arm goes on with the
version that it served when the rollout began. The same holds, in every phase, for an alias that names a version in
quarantine. So an abort always takes the candidate out of traffic, wherever the aliases point.
"""

from router.document.document import Candidate, Document
from router.document.phase import UNDER_WAY
from router.document.quarantine import find_quarantined
from router.spec.spec import ArmRef


def stand_in(document: Document, arm: str, bound: Candidate) -> ArmRef | None:
    """Return the version that serves an arm instead of `bound`, to which its alias is bound now; None: `bound` does."""
    spec, state = document.spec, document.rollout
    if spec.rollout is None or state is None or arm not in state.others or spec.arms[arm].alias is None:
        return None
    model, before = spec.arms[arm].model, state.others[arm]
    is_candidate = (
        state.phase in UNDER_WAY
        and state.candidate is not None
        and (model, bound.digest) == (spec.arms[spec.rollout.of].model, state.candidate.digest)
    )
    if not is_candidate and find_quarantined(document, model, bound.digest) is None:
        return None
    if bound.digest == before.digest or find_quarantined(document, model, before.digest) is not None:
        return None
    return ArmRef(model, version=before.version)
