"""How a rollout moves. Each function returns the next document, or raises `Rejected`. Time is an argument.

`router.document.phase` says which event may follow in which phase. This module says what an event does to the weights,
the step and the clock.
"""

from dataclasses import replace
from fractions import Fraction

from router.document.bindings import away_from_quarantine, rebound
from router.document.document import Candidate, Document, RolloutState
from router.document.phase import UNDER_WAY, Event, Phase, next_phase
from router.document.promoted_base import based_on_promoted
from router.document.quarantine import add_to_quarantine, find_quarantined
from router.draw.assignment import BUCKETS
from router.draw.slots import quantise, reallocate
from router.errors import Rejected
from router.spec.spec import RolloutSpec, RouteSpec


def spec_and_state(document: Document) -> tuple[RolloutSpec, RolloutState]:
    """Return the declared half and the changing half of a rollout.

    Raises:
        Rejected: if the route has no rollout.
    """
    if document.spec.rollout is None or document.rollout is None:
        raise Rejected(f"Route {document.spec.route} is a split, not a rollout; `pointsman shift` moves its traffic.")
    return document.spec.rollout, document.rollout


def slots_at(spec: RouteSpec, candidate_slots: int) -> dict[str, int]:
    """Return every arm's slots while the candidate has this many. The base shares the rest."""
    assert spec.rollout is not None  # noqa: S101  # for the type checker; the callers have checked it
    rest = Fraction(BUCKETS - candidate_slots, BUCKETS)
    weights = {arm: rest * spec.rollout.base.get(arm, Fraction(0)) for arm in spec.arms}
    return quantise({**weights, spec.rollout.of: Fraction(candidate_slots, BUCKETS)})


def begin(document: Document, event: Event, candidate: Candidate, at_s: float) -> Document:
    """Give the candidate the first step's weight and begin its trial. The event is START or FOLLOW.

    In a rollout that starts by alias, the other arms are first bound to the version that was promoted, if one was.

    Raises:
        Rejected: if the phase does not allow it, or the candidate is promoted already or in quarantine.
    """
    rollout, state = spec_and_state(document)
    phase = next_phase(state.phase, event)
    model = document.spec.arms[rollout.of].model
    if state.phase is Phase.PROMOTED and state.candidate is not None and state.candidate.digest == candidate.digest:
        raise Rejected(
            f"{model}:{candidate.version} is promoted already; bind arm {rollout.of} to another version first."
        )
    held = find_quarantined(document, model, candidate.digest)
    if held is not None:
        raise Rejected(f"{model}:{candidate.version} is in quarantine: {held.way_back(document.spec.route)}")
    begun = replace(based_on_promoted(document), trial_version=document.version + 1, trial_s=at_s)
    begun = _bind_candidate(begun, candidate, at_s if event is Event.FOLLOW else None)
    return _enter_step(begun, RolloutState(phase=phase, since_s=at_s, candidate=candidate))


def withdraw(document: Document, named: Candidate, at_s: float) -> Document:
    """Take everything from the candidate, because its alias names what the other arms serve. No version is to blame.

    Raises:
        Rejected: if the phase does not allow it.
    """
    state = RolloutState(next_phase(spec_and_state(document)[1].phase, Event.WITHDRAW))
    slots = reallocate(document.slots, slots_at(document.spec, 0))
    withdrawn = replace(document, slots=slots, rollout=state, trial_version=document.version + 1, trial_s=at_s)
    return _bind_candidate(withdrawn, named, at_s)


def _bind_candidate(document: Document, candidate: Candidate, followed_s: float | None) -> Document:
    of = spec_and_state(document)[0].of
    return rebound(document, {of: candidate}, followed_s) if of in document.spec.aliases else document


def pause(document: Document) -> Document:
    """Pause the rollout with its present weights.

    Raises:
        Rejected: if the phase does not allow it.
    """
    _, state = spec_and_state(document)
    return replace(document, rollout=replace(state, phase=next_phase(state.phase, Event.PAUSE)))


def resume(document: Document, at_s: float) -> Document:
    """Begin the step anew if the rollout is PAUSED. If it is WAITING, begin the next step or end the rollout.

    Raises:
        Rejected: if the phase does not allow it, or the step is above the candidate's ceiling.
    """
    rollout, state = spec_and_state(document)
    phase = next_phase(state.phase, Event.RESUME)
    is_next = state.phase is Phase.WAITING
    ceiling = ceiling_of(document.spec)
    if (_next_slots(document) if is_next else rollout.steps[state.step].slots) > ceiling:
        raise Rejected(
            f"Arm {rollout.of} may have {ceiling / 100:g}% at most by itself; "
            f"`pointsman promote {document.spec.route}` gives it everything."
        )
    resumed = replace(state, phase=phase, since_s=at_s)
    return _begin_next_step(replace(document, rollout=resumed), at_s) if is_next else _enter_step(document, resumed)


def promote(document: Document, at_s: float) -> Document:
    """Give the candidate everything. An operator may do that at any step, and above the candidate's ceiling.

    Raises:
        Rejected: if the phase does not allow it.
    """
    return _finish(document, Event.PROMOTE, at_s)


def abort(document: Document, at_s: float, why: str, *, is_held: bool) -> Document:
    """Take everything from the candidate, and put its version in quarantine if `is_held`.

    Raises:
        Rejected: if the phase does not allow it.
    """
    rollout, state = spec_and_state(document)
    phase = next_phase(state.phase, Event.ABORT)
    slots = reallocate(document.slots, slots_at(document.spec, 0))
    aborted = replace(document, slots=slots, rollout=replace(state, phase=phase, since_s=at_s))
    if state.candidate is None:
        return aborted
    if rollout.of in document.spec.aliases and rollout.of not in document.bound:  # a document from before decision 023
        aborted = rebound(aborted, {rollout.of: state.candidate})
    if not is_held:
        return aborted
    model = document.spec.arms[rollout.of].model
    held = add_to_quarantine(aborted, model=model, candidate=state.candidate, at_s=at_s, why=why)
    return away_from_quarantine(held, rollout.of, at_s)


def advance(document: Document, at_s: float) -> Document:
    """End the step and begin the next one. After the last step, give the candidate everything.

    Raises:
        Rejected: if the phase does not allow it, or the next step needs an operator's approval.
    """
    advanced = _begin_next_step(document, at_s)
    if _needs_approval(document):
        raise Rejected(f"The next step of route {document.spec.route} needs approval: `pointsman resume`.")
    return advanced


def _begin_next_step(document: Document, at_s: float) -> Document:
    _, state = spec_and_state(document)
    following = _next_step(document)
    if following is None or _next_slots(document) == BUCKETS:
        return _finish(document, Event.FINISH, at_s)
    phase = next_phase(state.phase, Event.ADVANCE)
    return _enter_step(document, replace(state, phase=phase, step=following, since_s=at_s))


def hold(document: Document) -> Document:
    """End the step and wait for approval of the next one.

    Raises:
        Rejected: if the phase does not allow it.
    """
    _, state = spec_and_state(document)
    return replace(document, rollout=replace(state, phase=next_phase(state.phase, Event.HOLD)))


def due_event(document: Document, observed_s: float, samples: int) -> Event | None:
    """Return the event that is due now: ADVANCE, HOLD or None.

    The step was observed for `observed_s` seconds (`router.document.step_time`). `samples` counts the candidate's
    requests since the step began.
    """
    rollout, state = document.spec.rollout, document.rollout
    if rollout is None or state is None or state.phase is not Phase.PROGRESSING:
        return None
    step = rollout.steps[state.step]
    if observed_s < step.every_s or samples < step.samples:
        return None
    return Event.HOLD if _needs_approval(document) else Event.ADVANCE


def redeclared_state(document: Document, spec: RouteSpec) -> RolloutState:
    """Return the state of the rollout after its route is declared anew.

    If the declaration changes what is rolled out, that is a new state. Otherwise the state is kept. If the steps have
    changed, `step` is the last one that the candidate's weight has reached.
    """
    state, known = document.rollout, document.spec
    if spec.rollout is None or state is None or known.rollout is None:
        return RolloutState()
    of = spec.rollout.of
    is_same = of == known.rollout.of and spec.rollout.base == known.rollout.base and spec.arms[of] == known.arms[of]
    if not is_same:
        return RolloutState()
    reached = document.weights[of]
    steps = [index for index, step in enumerate(spec.rollout.steps) if step.slots <= reached]
    is_placed = spec.rollout.steps == known.rollout.steps or state.phase not in UNDER_WAY
    if is_placed and state.step < len(spec.rollout.steps):
        return state
    return replace(state, step=max(steps, default=0))


def ceiling_of(spec: RouteSpec) -> int:
    """Return the most slots that the candidate may get without an operator's approval."""
    limit = None if spec.rollout is None or spec.limits is None else spec.limits.get(spec.rollout.of)
    return BUCKETS if limit is None else limit.ceiling


def _needs_approval(document: Document) -> bool:
    rollout, state = spec_and_state(document)
    return rollout.steps[state.step].approve or _next_slots(document) > ceiling_of(document.spec)


def _next_step(document: Document) -> int | None:
    """Return the first step that gives the candidate more than it has.

    The current index says nothing about it, because the steps may have been declared anew.
    """
    rollout, _ = spec_and_state(document)
    reached = document.weights[rollout.of]
    return next((index for index, step in enumerate(rollout.steps) if step.slots > reached), None)


def _next_slots(document: Document) -> int:
    """Return the candidate's slots after this step."""
    rollout, _ = spec_and_state(document)
    following = _next_step(document)
    return BUCKETS if following is None else rollout.steps[following].slots


def _enter_step(document: Document, state: RolloutState) -> Document:
    """Return the document at the step of `state`."""
    rollout, _ = spec_and_state(document)
    slots = slots_at(document.spec, rollout.steps[state.step].slots)
    entered = replace(state, since_version=document.version + 1)
    return replace(document, slots=reallocate(document.slots, slots), rollout=entered)


def _finish(document: Document, event: Event, at_s: float) -> Document:
    rollout, state = spec_and_state(document)
    phase = next_phase(state.phase, event)
    slots = reallocate(document.slots, slots_at(document.spec, BUCKETS))
    return replace(
        document, slots=slots, rollout=replace(state, phase=phase, step=len(rollout.steps) - 1, since_s=at_s)
    )
