"""The phases of a rollout, and the events that lead from one to another.

The table below holds everything that can change a rollout's phase. This module knows neither the source of an event nor
the time.

- READY: no operator has started the rollout yet.
- PROGRESSING: the rollout goes through its steps while time passes and samples are counted.
- WAITING: a step that needs approval is over. The rollout stays there until an operator resumes it.
- PAUSED: the weights stay as they are. An operator who shifts weights by hand also pauses the rollout.
- PROMOTED: the candidate has all the traffic. It may still be aborted.
- ABORTED: the candidate has no traffic, and its version is in quarantine.

A rollout that is PROMOTED or ABORTED may be started again. If the candidate's alias names another version while the
rollout is PROGRESSING or WAITING, the rollout follows it: the new version begins at the first step. If the alias names
what the other arms serve, the rollout is withdrawn. A rollout that starts by alias also follows it while it is READY,
PROMOTED or ABORTED.
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
    """What can happen to a rollout, by an operator's command or by itself."""

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
    WITHDRAW = "withdraw"  # the candidate's alias names what the other arms serve


TRANSITIONS: dict[Phase, dict[Event, Phase]] = {
    Phase.READY: {
        Event.START: Phase.PROGRESSING,
        Event.FOLLOW: Phase.PROGRESSING,
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
        Event.WITHDRAW: Phase.READY,
    },
    Phase.WAITING: {
        Event.PAUSE: Phase.PAUSED,
        Event.PROMOTE: Phase.PROMOTED,
        Event.ABORT: Phase.ABORTED,
        Event.SHIFT: Phase.PAUSED,
        Event.RESUME: Phase.PROGRESSING,
        Event.FOLLOW: Phase.PROGRESSING,
        Event.WITHDRAW: Phase.READY,
    },
    Phase.PAUSED: {
        Event.RESUME: Phase.PROGRESSING,
        Event.PROMOTE: Phase.PROMOTED,
        Event.ABORT: Phase.ABORTED,
        Event.SHIFT: Phase.PAUSED,
    },
    Phase.PROMOTED: {
        Event.START: Phase.PROGRESSING,
        Event.FOLLOW: Phase.PROGRESSING,
        Event.ABORT: Phase.ABORTED,
        Event.SHIFT: Phase.PAUSED,
    },
    Phase.ABORTED: {
        Event.START: Phase.PROGRESSING,
        Event.FOLLOW: Phase.PROGRESSING,
    },
}

UNDER_WAY = frozenset({Phase.PROGRESSING, Phase.WAITING, Phase.PAUSED})
"""The phases in which the candidate is on trial."""

PINNED = UNDER_WAY | {Phase.PROMOTED}
"""The phases in which the candidate serves the version with which the rollout began."""

OPERATOR_EVENTS = (Event.START, Event.PAUSE, Event.RESUME, Event.PROMOTE, Event.ABORT, Event.SHIFT)
"""The events that are operators' commands. The others happen by themselves."""


def next_phase(phase: Phase, event: Event, what: str = "rollout") -> Phase:
    """Return the phase to which an event leads. `what` moves through the phases.

    Raises:
        Rejected: if the phase does not allow the event. The sentence lists the events that it allows.
    """
    allowed = TRANSITIONS[phase]
    if event not in allowed:
        words = ", ".join(event for event in OPERATOR_EVENTS if event in allowed)
        raise Rejected(f"The {what} is {phase}, where {event} is not possible; possible are: {words}.")
    return allowed[event]
