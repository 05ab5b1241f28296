"""The phases of a rollout, and what leads from one to another. Decides.

Everything that can change a rollout's phase is in the table below. This file does not know who asks, nor what time
it is.

A rollout is READY until an operator starts it. It is PROGRESSING through its steps while time and samples come in; a
step that needs approval leaves it WAITING until somebody resumes it. PAUSED keeps the weights that it has; whoever
shifts weights by hand pauses it, too. PROMOTED, the candidate has all the traffic; ABORTED, it has none, and its
version is in quarantine. Both may be started anew, and what was promoted may still be aborted. When the alias of the
candidate moves on meanwhile, the rollout FOLLOWs: the new version begins at the first step.
"""

from enum import StrEnum

from router.errors import Rejected


class Phase(StrEnum):
    """Where a rollout stands."""

    READY = "READY"
    PROGRESSING = "PROGRESSING"
    WAITING = "WAITING"
    PAUSED = "PAUSED"
    PROMOTED = "PROMOTED"
    ABORTED = "ABORTED"


class Event(StrEnum):
    """What can happen to a rollout: operators' words, and what comes to pass by itself."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    PROMOTE = "promote"
    ABORT = "abort"
    SHIFT = "shift"
    ADVANCE = "advance"  # the step is over; the next one begins
    HOLD = "hold"  # the step is over; the next one needs approval
    FINISH = "finish"  # the last step is over
    FOLLOW = "follow"  # the candidate's alias names another version now


TRANSITIONS: dict[Phase, dict[Event, Phase]] = {
    Phase.READY: {
        Event.START: Phase.PROGRESSING,
    },
    Phase.PROGRESSING: {
        Event.PAUSE: Phase.PAUSED,
        Event.PROMOTE: Phase.PROMOTED,
        Event.ABORT: Phase.ABORTED,
        Event.SHIFT: Phase.PAUSED,
        Event.ADVANCE: Phase.PROGRESSING,
        Event.HOLD: Phase.WAITING,
        Event.FINISH: Phase.PROMOTED,
        Event.FOLLOW: Phase.PROGRESSING,
    },
    Phase.WAITING: {
        Event.PAUSE: Phase.PAUSED,
        Event.PROMOTE: Phase.PROMOTED,
        Event.ABORT: Phase.ABORTED,
        Event.SHIFT: Phase.PAUSED,
        Event.RESUME: Phase.PROGRESSING,
        Event.FOLLOW: Phase.PROGRESSING,
    },
    Phase.PAUSED: {
        Event.RESUME: Phase.PROGRESSING,
        Event.PROMOTE: Phase.PROMOTED,
        Event.ABORT: Phase.ABORTED,
        Event.SHIFT: Phase.PAUSED,
    },
    Phase.PROMOTED: {
        Event.START: Phase.PROGRESSING,
        Event.ABORT: Phase.ABORTED,
        Event.SHIFT: Phase.PAUSED,
    },
    Phase.ABORTED: {
        Event.START: Phase.PROGRESSING,
    },
}

UNDER_WAY = frozenset({Phase.PROGRESSING, Phase.WAITING, Phase.PAUSED})
"""The candidate is being tried."""

PINNED = UNDER_WAY | {Phase.PROMOTED}
"""The candidate serves as the version that it began with."""

OPERATORS_WORDS = (Event.START, Event.PAUSE, Event.RESUME, Event.PROMOTE, Event.ABORT, Event.SHIFT)
"""The events that are commands."""


def after(phase: Phase, event: Event) -> Phase:
    """The phase that an event leads to.

    Raises:
        Rejected: the phase does not allow it; the sentence says what it allows.
    """
    allowed = TRANSITIONS[phase]
    if event not in allowed:
        words = ", ".join(event for event in OPERATORS_WORDS if event in allowed)
        raise Rejected(f"The rollout is {phase}, where {event} is not possible; possible are: {words}.")
    return allowed[event]
