"""How a bandit moves through its phases. Each function returns the next document, or raises `Rejected`.

The phases and events are those of a rollout (`router.document.phase`). They mean this:

- PROGRESSING: a policy moves the weights.
- WAITING: the stop rule has found the best arm. The weights stay until an operator promotes it or resumes.
- PAUSED: the weights stay as they are. Rewards still count.
- PROMOTED: one arm has all the traffic.
- ABORTED: the trusted arm has all the traffic, or what took over from an arm that was promoted and then taken out.
"""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from router.document.document import Document, LearningState
from router.document.phase import Event, Phase, next_phase
from router.document.shift import check_arm
from router.draw.assignment import BUCKETS
from router.draw.slots import quantise, reallocate
from router.errors import Rejected
from router.spec.bandit import BanditSpec
from router.spec.spec import RouteSpec
from router.spec.value import is_other_value


def bandit_and_state(document: Document) -> tuple[BanditSpec, LearningState]:
    """Return the declared half and the changing half of a bandit.

    Raises:
        Rejected: if the route is no bandit.
    """
    if document.spec.bandit is None or document.learning is None or not document.spec.learns:
        raise Rejected(f"Route {document.spec.route} is no bandit.")
    return document.spec.bandit, document.learning


def first_state(spec: RouteSpec, version: int, at_s: float) -> LearningState | None:
    """Return the state of a policy that begins to learn with a version of the document; None if there is no policy."""
    if spec.bandit is None:
        return None
    return LearningState(Phase.PROGRESSING, at_s, version, dict.fromkeys(spec.arms, version))


def start(document: Document, at_s: float) -> Document:
    """Begin anew from the first weights. What is known of the arms is kept.

    Raises:
        Rejected: if the phase does not allow it.
    """
    bandit, _ = bandit_and_state(document)
    return weighted(_moved(document, Event.START), bandit.first, at_s)


def pause(document: Document) -> Document:
    """Keep the weights as they are.

    Raises:
        Rejected: if the phase does not allow it.
    """
    return _moved(document, Event.PAUSE)


def resume(document: Document) -> Document:
    """Let the policy move the weights again, from where they are.

    Raises:
        Rejected: if the phase does not allow it.
    """
    return _moved(document, Event.RESUME)


def hold(document: Document) -> Document:
    """Keep the weights, because the best arm is found, until an operator promotes it or resumes.

    Raises:
        Rejected: if the phase does not allow it.
    """
    return _moved(document, Event.HOLD)


def promote(document: Document, arm: str | None, at_s: float) -> Document:
    """Give an arm everything: the one that is named or, without a name, the one that has the most.

    Raises:
        Rejected: if the phase does not allow it, there is no such arm, or two arms have the most.
    """
    weights = document.weights
    if arm is None:
        arm, *others = [each for each in weights if weights[each] == max(weights.values())]
        if others:
            raise Rejected(f"Arms {arm} and {others[0]} have the same weight; say which one is to be promoted.")
    check_arm(document, arm)
    return weighted(_moved(document, Event.PROMOTE), {**dict.fromkeys(weights, 0), arm: BUCKETS}, at_s)


def abort(document: Document, at_s: float) -> Document:
    """Give the trusted arm everything. No version is put in quarantine.

    Raises:
        Rejected: if the phase does not allow it, or no arm is trusted.
    """
    trusted = document.spec.trusted_arm
    if trusted is None:
        raise Rejected(
            f"Route {document.spec.route} has no arm that is trusted, to take all traffic: declare `fallback: ARM`, or "
            "say which arm is to be aborted."
        )
    return weighted(_moved(document, Event.ABORT), {**dict.fromkeys(document.weights, 0), trusted: BUCKETS}, at_s)


def without_arm(document: Document, weights: Mapping[str, int], at_s: float) -> Document:
    """Give the arms these slots, of which an arm that is taken out has none. The phase stays.

    If that arm was promoted, the bandit is ABORTED.
    """
    _, state = bandit_and_state(document)
    if state.phase is Phase.PROMOTED:
        document = _moved(document, Event.ABORT)
    return weighted(document, weights, at_s)


def shift(document: Document, weights: Mapping[str, int], at_s: float) -> Document:
    """Give the arms these slots, and pause.

    Raises:
        Rejected: if the phase does not allow it.
    """
    return weighted(_moved(document, Event.SHIFT), weights, at_s)


def reset(document: Document, arm: str, at_s: float) -> Document:
    """Forget what is known of an arm, as if it were new. The weights stay until the policy moves them.

    Raises:
        Rejected: if there is no such arm.
    """
    _, state = bandit_and_state(document)
    check_arm(document, arm)
    arms = {**state.arms, arm: document.version + 1}
    return weighted(replace(document, learning=replace(state, arms=arms)), document.weights, at_s)


def kept_weights(document: Document, spec: RouteSpec) -> RouteSpec:
    """Return another declaration of a bandit with the weights that the bandit has.

    Arms that stay keep theirs, in proportion. New arms begin with their floor.
    """
    if spec.bandit is None or not _is_kept(document, spec):
        return spec
    known = document.weights
    new = {arm: spec.bandit_limits(arm).floor for arm in spec.arms if arm not in known}
    kept = {arm: Fraction(slots) for arm, slots in known.items() if arm in spec.arms}
    rest, total = BUCKETS - sum(new.values()), sum(kept.values(), Fraction(0))
    if not total:
        return spec
    weights = {arm: (Fraction(new[arm]) if arm in new else kept[arm] * rest / total) / BUCKETS for arm in spec.arms}
    return replace(spec, split=quantise(weights))


def redeclared_state(document: Document, spec: RouteSpec, at_s: float) -> LearningState | None:
    """Return the state under another declaration. If it is not of the same bandit, the policy begins anew.

    So does an arm without a model that gets another value: what was learned was learned of the earlier value.
    """
    version, state = document.version + 1, document.learning
    if state is None or not _is_kept(document, spec):
        return first_state(spec, version, at_s)
    other = {
        arm for arm, ref in spec.arms.items() if arm in state.arms and is_other_value(document.spec.arms[arm], ref)
    }
    arms = {arm: version if arm in other else state.arms.get(arm, version) for arm in spec.arms}
    if document.weights == spec.split and not other:
        return replace(state, arms=arms)
    return replace(state, arms=arms, since_s=at_s, since_version=version)


def _is_kept(document: Document, spec: RouteSpec) -> bool:
    """Return True if a declaration is of the bandit, or of the observing policy, that the document has."""
    known, declared = document.spec.bandit, spec.bandit
    if known is None or declared is None or document.learning is None:
        return False
    return (known.acts, known.reward, known.context) == (declared.acts, declared.reward, declared.context)


def _moved(document: Document, event: Event) -> Document:
    _, state = bandit_and_state(document)
    return replace(document, learning=replace(state, phase=next_phase(state.phase, event, "bandit")))


def weighted(document: Document, weights: Mapping[str, int], at_s: float) -> Document:
    """Return the document with other weights, from which the policy goes on."""
    _, state = bandit_and_state(document)
    state = replace(state, since_s=at_s, since_version=document.version + 1)
    spec = replace(document.spec, split=weights)
    return replace(document, spec=spec, slots=reallocate(document.slots, weights), learning=state, models=None)
