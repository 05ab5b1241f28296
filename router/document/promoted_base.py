"""What the other arms of a rollout are bound to after a promotion.

After a promotion, the candidate's arm has all the traffic. When the next rollout begins by an alias, the other arms
take over all but its first step. So they are bound to the promoted version first: the next one is compared with it.
"""

from router.document.bindings import hold_digests, is_bound_to, rebound
from router.document.document import Candidate, Document
from router.document.phase import Phase
from router.spec.spec import Starts


def base_after_promotion(document: Document) -> dict[str, Candidate] | None:
    """Return the new bindings of the other arms: of those that do not serve the promoted version yet.

    None if that is not possible, because one of them names a version, or another model.
    """
    rollout, state = document.spec.rollout, document.rollout
    if rollout is None or state is None or state.phase is not Phase.PROMOTED or state.candidate is None:
        return {}
    arms = document.spec.arms
    model = arms[rollout.of].model
    left = [arm for arm in rollout.base if not is_bound_to(document, arm, model, state.candidate)]
    if any(arms[arm].model != model or arms[arm].alias is None for arm in left):
        return None
    return dict.fromkeys(left, state.candidate)


def based_on_promoted(document: Document) -> Document:
    """Bind the other arms to the promoted version, if the rollout starts by alias.

    They follow an alias of their own again once it names something new.
    """
    rollout = document.spec.rollout
    base = None if rollout is None or rollout.starts is not Starts.BY_ALIAS else base_after_promotion(document)
    if rollout is None or not base:
        return document
    arms, bound = document.spec.arms, document.bound
    held = {arm: bound[arm].digest for arm in base if arm in bound and arms[arm] != arms[rollout.of]}
    return hold_digests(rebound(document, base), held)
