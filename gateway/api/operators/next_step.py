"""What a rollout waits for, as a sentence."""

from fractions import Fraction

from router.document.bindings import binding_of, is_bound_to
from router.document.document import Document, RolloutState
from router.document.phase import Phase
from router.document.quarantine import find_quarantined
from router.document.rollout import ceiling_of
from router.draw.assignment import BUCKETS
from router.quantities import format_percent, format_rough_duration
from router.spec.spec import RolloutSpec, Starts, Step


def next_step(document: Document, samples: int | None, observed_s: float, *, is_blind: bool = False) -> str:
    """Return a sentence: what happens next and when, or what an operator has to do.

    `observed_s` is for how long the step was observed. `samples` is the number of the candidate's requests since the
    step began, or None while the store does not answer. With `is_blind`, a guardrail cannot see what it watches for.
    """
    rollout, state = document.spec.rollout, document.rollout
    if rollout is None or state is None:
        return ""
    route = document.spec.route
    match state.phase:
        case Phase.READY:
            return _ready(document, rollout)
        case Phase.PROGRESSING if is_blind:
            return f"Nothing by itself: a guardrail is BLIND. Take it out, or `pointsman promote {route}` without it."
        case Phase.PROGRESSING:
            return _progressing(document, rollout, state, samples, observed_s)
        case Phase.WAITING | Phase.PAUSED:
            return _held(document, rollout, state)
        case Phase.PROMOTED:
            by_alias = _by_alias(document, rollout)
            waits = f"Nothing, until {by_alias}" if by_alias else "Nothing"
            return f"{waits}: arm {rollout.of} has all the traffic."
        case Phase.ABORTED:
            return _aborted(document, rollout, state)


def _ready(document: Document, rollout: RolloutSpec) -> str:
    by_alias, bound = _by_alias(document, rollout), binding_of(document, rollout.of)
    model, weight = document.spec.arms[rollout.of].model, _percent(rollout.steps[0].slots)
    same = [arm for arm in rollout.base if bound is not None and is_bound_to(document, arm, model, bound)]
    if by_alias and same:
        return f"It begins with {weight} once {by_alias}, which arm {' and '.join(same)} serves, too."
    start = f"`pointsman start {document.spec.route}` begins it with {weight}"
    return f"{start}, or it begins once {by_alias}." if by_alias else f"{start}."


def _by_alias(document: Document, rollout: RolloutSpec) -> str:
    """Return what begins the next rollout by itself, or an empty text."""
    if rollout.starts is Starts.BY_HAND:
        return ""
    ref, bound = document.spec.arms[rollout.of], binding_of(document, rollout.of)
    return f"{ref} names another version" + ("" if bound is None else f" than {bound.version}")


def _progressing(
    document: Document, rollout: RolloutSpec, state: RolloutState, samples: int | None, observed_s: float
) -> str:
    if samples is None:
        return "Nothing, until the store answers."
    step, following = rollout.steps[state.step], _following(document, rollout)
    ceiling, what = ceiling_of(document.spec), _what(document, rollout, following)
    if step.approve:
        what = f"approval is asked for, after which {what}"
    elif _slots(following, rollout) > ceiling:
        what = f"it waits: arm {rollout.of} may have {_percent(ceiling)} at most by itself"
    return f"{_when(rollout.of, step, samples, observed_s)}, {what}."


def _when(arm: str, step: Step, samples: int, observed_s: float) -> str:
    left_s, missing = step.every_s - observed_s, step.samples - samples
    requests = "request is" if missing == 1 else "requests are"
    counted = f"once {missing} more drawn {requests} counted for arm {arm}"
    if left_s > 0 and missing > 0:
        return f"In {format_rough_duration(left_s)} at the earliest, and {counted}"
    if left_s > 0:
        return f"In {format_rough_duration(left_s)}"
    return f"O{counted[1:]}" if missing > 0 else "At any moment"


def _held(document: Document, rollout: RolloutSpec, state: RolloutState) -> str:
    route, ceiling = document.spec.route, ceiling_of(document.spec)
    is_next = state.phase is Phase.WAITING
    following = _following(document, rollout) if is_next else state.step
    if _slots(following, rollout) > ceiling:
        return (
            f"Arm {rollout.of} may have {_percent(ceiling)} at most by itself; "
            f"`pointsman promote {route}` gives it everything."
        )
    what = _what(document, rollout, following)
    return f"After `pointsman resume {route}`, {what}{'' if is_next else ' anew'}."


def _aborted(document: Document, rollout: RolloutSpec, state: RolloutState) -> str:
    route, model = document.spec.route, document.spec.arms[rollout.of].model
    if state.candidate is None or find_quarantined(document, model, state.candidate.digest) is None:
        return f"`pointsman start {route}` begins it again."
    version = state.candidate.version
    return (
        f"`pointsman start {route}` begins it with another version; {model}:{version} is in quarantine "
        f"until `pointsman release {route} {model}:{version}`."
    )


def _following(document: Document, rollout: RolloutSpec) -> int | None:
    """Return the index of the first step above the candidate's present weight, or None if it gets everything next."""
    reached = document.weights[rollout.of]
    return next((index for index, step in enumerate(rollout.steps) if step.slots > reached), None)


def _slots(step: int | None, rollout: RolloutSpec) -> int:
    return BUCKETS if step is None else rollout.steps[step].slots


def _what(document: Document, rollout: RolloutSpec, step: int | None) -> str:
    """Return what happens when a step begins. None stands for the end of the steps."""
    if document.weights[rollout.of] == BUCKETS and step is None:
        return "the rollout is over"
    if step is None or rollout.steps[step].slots == BUCKETS:
        return f"arm {rollout.of} gets all the traffic"
    return f"step {step + 1} of {len(rollout.steps)} begins ({_percent(rollout.steps[step].slots)})"


def _percent(slots: int) -> str:
    return format_percent(Fraction(slots, BUCKETS))
