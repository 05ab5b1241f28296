"""The table of phases: every transition that it allows, and every one that it does not."""

import subprocess
import sys
from dataclasses import replace

import pytest

from router.document.apply import apply
from router.document.commands import (
    Abort,
    Advance,
    Follow,
    Hold,
    Pause,
    Promote,
    PromoteShadow,
    Resume,
    Shift,
    Start,
    Withdraw,
)
from router.document.document import Document, RolloutState
from router.document.phase import OPERATOR_EVENTS, PINNED, TRANSITIONS, UNDER_WAY, Event, Phase, next_phase
from router.document.rollout import slots_at
from router.document.stored import to_dict
from router.draw.slots import reallocate
from router.errors import Rejected
from tests.support.paths import ROOT
from tests.unit.router.support import T0, V2, V3

LEGAL = [(phase, event) for phase, row in TRANSITIONS.items() for event in row]
ILLEGAL = [(phase, event) for phase in Phase for event in Event if event not in TRANSITIONS[phase]]

COMMANDS = {
    Event.START: [Start(V3, T0), PromoteShadow("m:3", V3, T0)],
    Event.PAUSE: [Pause()],
    Event.RESUME: [Resume(T0)],
    Event.PROMOTE: [Promote(T0)],
    Event.ABORT: [Abort(T0, "Because."), Abort(T0, "Because.", arm="canary")],
    Event.SHIFT: [Shift({"canary": 0})],
    Event.ADVANCE: [Advance(T0)],
    Event.HOLD: [Hold()],
    Event.FINISH: [Advance(T0)],  # from the last step
    Event.FOLLOW: [Follow(V3, T0)],
    Event.WITHDRAW: [Withdraw(V3, T0)],
}


def in_phase(document: Document, phase: Phase, step: int) -> Document:
    """Return the rollout in this phase and step."""
    share = {Phase.READY: 0, Phase.ABORTED: 0, Phase.PROMOTED: 10_000}.get(phase)
    slots = slots_at(document.spec, document.spec.rollout.steps[step].slots if share is None else share)
    state = RolloutState(phase=phase, step=step, since_s=T0, candidate=None if phase is Phase.READY else V2)
    return replace(document, version=7, slots=reallocate(document.slots, slots), rollout=state)


def _named_alike(words: str) -> str:
    """Replace finish by advance. One command stands for both events, and the step decides which it is."""
    return words.replace("where finish", "where advance")


def step_for(event: Event) -> int:
    return 2 if event is Event.FINISH else 0


@pytest.fixture
def route(ready):
    return ready(shadow=[{"arm": "m:3"}])


def test_every_phase_has_a_row_and_every_event_a_place():
    assert list(TRANSITIONS) == list(Phase)
    assert {event for _, event in LEGAL} == set(Event)
    assert len(LEGAL) + len(ILLEGAL) == len(Phase) * len(Event)


@pytest.mark.parametrize(("phase", "event"), ILLEGAL)
def test_illegal_moves_raise_and_change_nothing(route, phase, event):
    possible = ", ".join(word for word in OPERATOR_EVENTS if word in TRANSITIONS[phase])
    words = f"The rollout is {phase}, where {event} is not possible; possible are: {possible}."
    with pytest.raises(Rejected) as refused:
        next_phase(phase, event)
    assert str(refused.value) == words
    document = in_phase(route, phase, step_for(event))
    before = to_dict(document)
    for command in COMMANDS[event]:
        with pytest.raises(Rejected) as refused:
            apply(document, command)
        assert _named_alike(str(refused.value)) == _named_alike(words)
        assert to_dict(document) == before


@pytest.mark.parametrize(("phase", "event"), LEGAL)
def test_legal_moves_lead_where_the_table_says(route, phase, event):
    assert next_phase(phase, event) is TRANSITIONS[phase][event]
    document = in_phase(route, phase, step_for(event))
    for command in COMMANDS[event]:
        moved = apply(document, command)
        assert moved.version == document.version + 1
        assert moved.rollout.phase is TRANSITIONS[phase][event]


def test_what_a_phase_says_of_the_candidate():
    assert {Phase.PROGRESSING, Phase.WAITING, Phase.PAUSED} == UNDER_WAY
    assert UNDER_WAY | {Phase.PROMOTED} == PINNED
    assert {phase for phase in Phase if Event.ABORT in TRANSITIONS[phase]} == PINNED


@pytest.mark.parametrize("event", OPERATOR_EVENTS)
def test_a_split_has_no_phases(declared, event):
    document = declared(a="90%", b="10%")
    if event not in (Event.SHIFT, Event.ABORT):  # a split has these two as well
        for command in COMMANDS[event]:
            with pytest.raises(Rejected, match="Route r is a split, not a rollout; `pointsman shift` moves its traffi"):
                apply(document, command)


def test_the_picture_of_the_phases_is_that_of_the_table():
    printed = subprocess.run(
        [sys.executable, "docs/rollout_diagram.py"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout == (ROOT / "docs" / "rollout.mmd").read_text(), "python docs/rollout_diagram.py"
