"""What operators do to a rollout."""

from fractions import Fraction

import pytest

from router.compile import references
from router.document.apply import apply
from router.document.commands import Abort, Advance, Hold, Pause, Promote, Release, Resume, Shift, Start
from router.document.document import QuarantinedVersion
from router.document.phase import TRANSITIONS, Event, Phase
from router.document.rollout import due_event
from router.errors import Rejected
from router.spec.spec import ArmRef
from tests.unit.router.support import STEP_S, T0, V2, V3

LATER = T0 + 5000.0
HAND = Shift({"canary": Fraction(3, 100)})

TO = {
    Phase.PROGRESSING: (),
    Phase.WAITING: (Hold(),),
    Phase.PAUSED: (Pause(),),
    Phase.PROMOTED: (Promote(T0),),
}
"""The commands from PROGRESSING to each phase in which an abort is possible."""


def test_a_start_gives_the_first_step_and_begins_the_trial(ready):
    document = apply(ready(), Start(V2, LATER))
    assert document.weights == {"stable": 9900, "canary": 100}
    state = document.rollout
    assert (state.phase, state.step, state.since_s, state.since_version) == (Phase.PROGRESSING, 0, LATER, 2)
    assert (state.candidate, document.trial_version, document.trial_s) == (V2, 2, LATER)


def test_a_pause_keeps_the_weights_and_a_resume_begins_the_step_anew(begun, after):
    stepped = apply(begun(), Advance(T0 + STEP_S))
    paused = apply(stepped, Pause())
    assert paused.slots == stepped.slots
    assert due_event(paused, 10 * STEP_S, 10**6) is None
    resumed = apply(paused, Resume(LATER))
    assert (resumed.slots, resumed.rollout.step) == (stepped.slots, 1)
    assert (resumed.rollout.since_s, resumed.rollout.since_version) == (LATER, resumed.version)
    assert due_event(resumed, STEP_S - 1, 10**6) is None
    assert due_event(resumed, STEP_S, 10**6) is Event.ADVANCE


def test_a_pause_takes_no_approval_for_granted(begun, after):
    held = apply(begun(steps=[{"weight": "1%", "approve": True}, "5%"]), Hold())
    resumed = after(held, Pause(), Resume(LATER))
    assert (resumed.rollout.phase, resumed.weights["canary"]) == (Phase.PROGRESSING, 100)
    assert due_event(resumed, STEP_S, 10**6) is Event.HOLD


@pytest.mark.parametrize("phase", [phase for phase in Phase if Event.SHIFT in TRANSITIONS[phase]])
def test_who_shifts_by_hand_pauses(begun, after, phase):
    document = after(begun(), *TO[phase], HAND)
    assert (document.rollout.phase, document.weights) == (Phase.PAUSED, {"stable": 9700, "canary": 300})
    assert document.rollout.candidate == V2


def test_after_a_shift_by_hand_a_resume_goes_back_to_the_step(begun, after):
    resumed = after(begun(), Advance(T0), HAND, Resume(LATER))
    assert (resumed.rollout.phase, resumed.rollout.step, resumed.weights["canary"]) == (Phase.PROGRESSING, 1, 500)


def test_a_shift_by_hand_keeps_to_the_ceiling(begun):
    document = begun(limits={"canary": {"ceiling": "2%"}})
    with pytest.raises(Rejected, match="Arm canary would get 3%, but its limits are 0% to 2%"):
        apply(document, HAND)


@pytest.mark.parametrize("phase", [Phase.PROGRESSING, Phase.WAITING, Phase.PAUSED])
def test_a_promotion_gives_everything_from_wherever_it_is(begun, after, phase):
    document = after(begun(limits={"canary": {"ceiling": "2%"}}), *TO[phase], Promote(LATER))
    assert document.weights == {"stable": 0, "canary": 10_000}
    assert (document.rollout.phase, document.rollout.since_s) == (Phase.PROMOTED, LATER)
    assert references(document)["canary"] == ArmRef("m", version="2")
    assert due_event(document, 10 * STEP_S, 10**6) is None


@pytest.mark.parametrize("phase", TO)
def test_an_abort_takes_everything_and_quarantines(begun, after, phase):
    document = after(begun(), *TO[phase], Abort(LATER, "It fails."))
    assert document.weights == {"stable": 10_000, "canary": 0}
    assert (document.rollout.phase, document.rollout.since_s) == (Phase.ABORTED, LATER)
    assert document.quarantine == (QuarantinedVersion("m", "2", "digest-2", LATER, "It fails."),)


def test_an_abort_gives_every_unit_its_arm_back(ready, after):
    document = ready()
    aborted = after(document, Start(V2, T0), Advance(T0), Advance(T0), Abort(T0, "It fails."))
    assert aborted.slots == document.slots


@pytest.mark.parametrize(
    ("arm", "words"),
    [
        ("stable", "Only arm canary, which is rolled out, can be aborted"),
        ("z", "Route r has no arm 'z'; its arms are stable, canary"),
    ],
)
def test_nothing_else_is_aborted(begun, arm, words):
    with pytest.raises(Rejected, match=words):
        apply(begun(), Abort(T0, "It fails.", arm=arm))


def test_what_was_aborted_does_not_start_again_until_it_is_released(begun, after):
    aborted = after(begun(), Abort(T0, "It fails."))
    with pytest.raises(Rejected, match=r"m:2 is in quarantine: It fails\. `pointsman release r m:2` lets it back\."):
        apply(aborted, Start(V2, LATER))
    assert apply(aborted, Start(V3, LATER)).rollout.candidate == V3
    again = after(aborted, Release("2"), Start(V2, LATER))
    assert (again.rollout.phase, again.weights["canary"], again.quarantine) == (Phase.PROGRESSING, 100, ())


def test_what_was_promoted_may_start_again_with_another_version(begun, after):
    document = after(begun(), Promote(T0), Start(V3, LATER))
    assert (document.rollout.candidate, document.weights) == (V3, {"stable": 9900, "canary": 100})
