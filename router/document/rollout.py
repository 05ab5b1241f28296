"""How a rollout moves: each function gives the next document, or says that it may not be. Decides; time is an argument.

`router.document.phase` says what may follow what; this file says what becomes of weights, step and clock.
"""

from dataclasses import replace
from fractions import Fraction

from router.document.document import Candidate, Document, RolloutState
from router.document.phase import TRANSITIONS, UNDER_WAY, Event, Phase, after
from router.document.quarantine import find, quarantined
from router.draw.assignment import BUCKETS
from router.draw.slots import quantise, reallocate
from router.errors import Rejected
from router.spec.spec import RolloutSpec, RouteSpec


def spec_and_state(document: Document) -> tuple[RolloutSpec, RolloutState]:
    """Both halves of a rollout.

    Raises:
        Rejected: the route has none.
    """
    if document.spec.rollout is None or document.rollout is None:
        raise Rejected(f"Route {document.spec.route} is a split, not a rollout; `pointsman shift` moves its traffic.")
    return document.spec.rollout, document.rollout


def slots_at(spec: RouteSpec, candidate_slots: int) -> dict[str, int]:
    """Every arm's slots while the candidate has this many: the base shares the rest."""
    assert spec.rollout is not None  # noqa: S101  # for the type checker; the callers have looked
    rest = Fraction(BUCKETS - candidate_slots, BUCKETS)
    weights = {arm: rest * spec.rollout.base.get(arm, Fraction(0)) for arm in spec.arms}
    return quantise({**weights, spec.rollout.of: Fraction(candidate_slots, BUCKETS)})


def begin(document: Document, event: Event, candidate: Candidate, at_s: float) -> Document:
    """START or FOLLOW: the candidate gets the first step's weight, and its trial begins.

    Raises:
        Rejected: the phase does not allow it, or the candidate is in quarantine.
    """
    rollout, state = spec_and_state(document)
    phase = after(state.phase, event)
    model = document.spec.arms[rollout.of].model
    if state.phase is Phase.PROMOTED and state.candidate is not None and state.candidate.digest == candidate.digest:
        raise Rejected(
            f"{model}:{candidate.version} is promoted already; bind arm {rollout.of} to another version first."
        )
    held = find(document, model, candidate.digest)
    if held is not None:
        raise Rejected(
            f"{model}:{candidate.version} is in quarantine: {held.because} "
            f"`pointsman release {document.spec.route} {held.version}` lets it back."
        )
    begun = replace(document, trial_version=document.version + 1, trial_s=at_s)
    return _entered(begun, RolloutState(phase=phase, since_s=at_s, candidate=candidate))


def pause(document: Document) -> Document:
    """Keeps the weights that there are.

    Raises:
        Rejected: the phase does not allow it.
    """
    _, state = spec_and_state(document)
    return replace(document, rollout=replace(state, phase=after(state.phase, Event.PAUSE)))


def resume(document: Document, at_s: float) -> Document:
    """From PAUSED the step begins anew; from WAITING the next one begins, or the rollout ends.

    Raises:
        Rejected: the phase does not allow it, or the step is above the candidate's ceiling.
    """
    rollout, state = spec_and_state(document)
    phase = after(state.phase, Event.RESUME)
    is_next = state.phase is Phase.WAITING
    ceiling = ceiling_of(document.spec)
    if (_next_slots(document) if is_next else rollout.steps[state.step].slots) > ceiling:
        raise Rejected(
            f"Arm {rollout.of} may have {ceiling / 100:g}% at most by itself; "
            f"`pointsman promote {document.spec.route}` gives it everything."
        )
    resumed = replace(state, phase=phase, since_s=at_s)
    return _advanced(replace(document, rollout=resumed), at_s) if is_next else _entered(document, resumed)


def promote(document: Document, at_s: float) -> Document:
    """Gives the candidate everything; a person may do that at any step, and above its ceiling.

    Raises:
        Rejected: the phase does not allow it.
    """
    return _finished(document, Event.PROMOTE, at_s)


def abort(document: Document, at_s: float, why: str) -> Document:
    """Takes everything from the candidate, and puts its version in quarantine.

    Raises:
        Rejected: the phase does not allow it.
    """
    rollout, state = spec_and_state(document)
    phase = after(state.phase, Event.ABORT)
    slots = reallocate(document.slots, slots_at(document.spec, 0))
    aborted = replace(document, slots=slots, rollout=replace(state, phase=phase, since_s=at_s))
    if state.candidate is None:
        return aborted
    return quarantined(aborted, document.spec.arms[rollout.of].model, state.candidate, at_s, why)


def advance(document: Document, at_s: float) -> Document:
    """The step is over: the next one begins, or after the last, everything is the candidate's.

    Raises:
        Rejected: the phase does not allow it, or the next step needs a person's word.
    """
    advanced = _advanced(document, at_s)
    if _needs_approval(document):
        raise Rejected(f"The next step of route {document.spec.route} needs approval: `pointsman resume`.")
    return advanced


def _advanced(document: Document, at_s: float) -> Document:
    _, state = spec_and_state(document)
    following = _next_step(document)
    if following is None or _next_slots(document) == BUCKETS:
        return _finished(document, Event.FINISH, at_s)
    phase = after(state.phase, Event.ADVANCE)
    return _entered(document, replace(state, phase=phase, step=following, since_s=at_s))


def hold(document: Document) -> Document:
    """The step is over, and the next one needs approval.

    Raises:
        Rejected: the phase does not allow it.
    """
    _, state = spec_and_state(document)
    return replace(document, rollout=replace(state, phase=after(state.phase, Event.HOLD)))


def due(document: Document, now_s: float, samples: int) -> Event | None:
    """What is to happen by itself now: ADVANCE, HOLD or nothing. `samples` are the candidate's since the step began."""
    rollout, state = document.spec.rollout, document.rollout
    if rollout is None or state is None or state.phase is not Phase.PROGRESSING:
        return None
    step = rollout.steps[state.step]
    if now_s < state.since_s + step.every_s or samples < step.samples:
        return None
    return Event.HOLD if _needs_approval(document) else Event.ADVANCE


def follows(document: Document, bound: Candidate) -> bool:
    """Whether the rollout is to begin anew, because the alias of its candidate names another version now."""
    rollout, state = document.spec.rollout, document.rollout
    if rollout is None or state is None or state.candidate is None or bound.digest == state.candidate.digest:
        return False
    is_moving = Event.FOLLOW in TRANSITIONS[state.phase]
    return is_moving and find(document, document.spec.arms[rollout.of].model, bound.digest) is None


def redeclared(document: Document, spec: RouteSpec) -> RolloutState:
    """The state that a rollout keeps when its route is declared anew.

    Raises:
        Rejected: what is being rolled out would change on the way.
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
    """The most slots that the candidate may get without a person's word."""
    limit = None if spec.rollout is None or spec.limits is None else spec.limits.get(spec.rollout.of)
    return BUCKETS if limit is None else limit.ceiling


def _needs_approval(document: Document) -> bool:
    rollout, state = spec_and_state(document)
    return rollout.steps[state.step].approve or _next_slots(document) > ceiling_of(document.spec)


def _next_step(document: Document) -> int | None:
    """The first step that gives the candidate more than it has. Steps may have been declared anew since it began."""
    rollout, _ = spec_and_state(document)
    reached = document.weights[rollout.of]
    return next((index for index, step in enumerate(rollout.steps) if step.slots > reached), None)


def _next_slots(document: Document) -> int:
    """The candidate's slots once the step is over."""
    rollout, _ = spec_and_state(document)
    following = _next_step(document)
    return BUCKETS if following is None else rollout.steps[following].slots


def _entered(document: Document, state: RolloutState) -> Document:
    """The document at the step of `state`."""
    rollout, _ = spec_and_state(document)
    slots = slots_at(document.spec, rollout.steps[state.step].slots)
    entered = replace(state, since_version=document.version + 1)
    return replace(document, slots=reallocate(document.slots, slots), rollout=entered)


def _finished(document: Document, event: Event, at_s: float) -> Document:
    rollout, state = spec_and_state(document)
    phase = after(state.phase, event)
    slots = reallocate(document.slots, slots_at(document.spec, BUCKETS))
    return replace(
        document, slots=slots, rollout=replace(state, phase=phase, step=len(rollout.steps) - 1, since_s=at_s)
    )
