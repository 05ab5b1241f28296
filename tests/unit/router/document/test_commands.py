"""Commands on the whole document: undo, and making a shadow the candidate."""

from dataclasses import replace
from fractions import Fraction

import pytest

from router.document.apply import apply
from router.document.commands import (
    Abort,
    Advance,
    Declare,
    Promote,
    PromoteShadow,
    Release,
    Resume,
    Shift,
    Start,
    Undo,
)
from router.document.document import RolloutState
from router.document.phase import Phase
from router.document.rollout import due_event
from router.document.stored import to_dict
from router.errors import Rejected
from router.spec.spec import ArmRef
from tests.unit.router.support import STEP_S, T0, V2, V3

LATER = T0 + 9000.0
HALF = Shift({"b": Fraction(1, 2)})


def test_every_command_is_one_version_and_changes_no_other(begun):
    document = begun()
    before = to_dict(document)
    assert [apply(document, command).version for command in (Advance(T0), Promote(T0), Abort(T0, "So."))] == [3, 3, 3]
    assert to_dict(document) == before


def test_undo_goes_back_to_any_version(declared):
    first = declared(a="95%", b="5%", deadline="1s")
    second = apply(first, HALF)
    third = apply(second, Declare(declared(a="20%", b="30%", c="50%").spec))
    for then in (first, second):
        undone = apply(third, Undo(then, LATER))
        assert (undone.spec, undone.slots, undone.version) == (then.spec, then.slots, 4)
        assert (undone.trial_version, undone.trial_s) == (4, LATER)


def test_undo_can_be_undone(declared):
    first = declared(a="95%", b="5%")
    second = apply(first, HALF)
    third = apply(second, Undo(first, T0))
    assert apply(third, Undo(second, T0)).slots == second.slots


@pytest.mark.parametrize("command", [None, Advance(T0)])
def test_undo_sets_nothing_in_motion(begun, after, command):
    then = begun() if command is None else apply(begun(), command)
    now = after(then, Advance(T0), Promote(T0))
    undone = apply(now, Undo(then, LATER))
    assert undone.slots == then.slots
    assert undone.rollout == replace(then.rollout, phase=Phase.PAUSED, since_s=LATER, since_version=undone.version)
    assert due_event(undone, 10 * STEP_S, 10**6) is None
    resumed = apply(undone, Resume(LATER))
    assert (resumed.rollout.phase, resumed.slots) == (Phase.PROGRESSING, then.slots)


def test_undo_to_what_stood_still_stands_still(ready, begun, after):
    promoted = after(begun(), Promote(T0))
    ended = after(promoted, Start(V3, T0))
    assert apply(ended, Undo(promoted, LATER)).rollout.phase is Phase.PROMOTED
    back = apply(ended, Undo(ready(), LATER))
    assert (back.rollout.phase, back.weights["canary"]) == (Phase.READY, 0)


def test_undo_keeps_the_quarantine_and_brings_nothing_back_from_it(begun, ready, after):
    first, then = ready(), begun()
    shifted = apply(then, Shift({"canary": Fraction(0)}))
    aborted = after(shifted, Abort(T0, "It fails."))
    for version in (then, shifted):  # also if it had no traffic then, because a resume would give it some
        with pytest.raises(Rejected, match=rf"Version {version.version} rolled out m:2, which is in quarantine: It f"):
            apply(aborted, Undo(version, LATER))
    assert apply(aborted, Undo(first, LATER)).quarantine == aborted.quarantine
    assert apply(after(aborted, Start(V3, T0)), Undo(aborted, LATER)).rollout.phase is Phase.ABORTED
    released = after(aborted, Release("2"), Undo(then, LATER))
    assert (released.weights["canary"], released.quarantine) == (100, ())


def test_undo_to_another_route_is_refused(declared):
    document = declared(a="100%")
    other = replace(document, spec=replace(document.spec, route="other"))
    with pytest.raises(Rejected, match="The document is of route r, the earlier one of route other"):
        apply(document, Undo(other, T0))


SHADOWS = [{"arm": "m:3", "sample": "20%"}, {"arm": "canary"}, {"arm": "stable", "against": "canary"}]


def test_a_shadow_becomes_the_candidate(ready):
    document = apply(ready(shadow=SHADOWS), PromoteShadow("m:3", V3, LATER))
    assert document.spec.arms == {"stable": ArmRef("m", alias="champion"), "canary": ArmRef("m", version="3")}
    assert [shadow.name for shadow in document.spec.shadows] == ["canary", "stable"]
    assert document.rollout == RolloutState(Phase.PROGRESSING, 0, LATER, 2, V3)
    assert document.weights == {"stable": 9900, "canary": 100}
    assert (document.trial_version, document.trial_s) == (2, LATER)


def test_a_shadow_that_is_the_candidates_arm_just_begins(ready):
    document = apply(ready(shadow=SHADOWS), PromoteShadow("canary", V2, LATER))
    assert document.spec.arms["canary"] == ArmRef("m", alias="challenger")
    assert [shadow.name for shadow in document.spec.shadows] == ["m:3", "stable"]
    assert document.weights["canary"] == 100


@pytest.mark.parametrize(
    ("shadow", "words"),
    [
        ("m:4", "Route r has no shadow 'm:4'; there: m:3, canary, stable"),
        ("stable", "Shadow stable is another arm of the route; what can be promoted is arm canary, or a version"),
    ],
)
def test_what_cannot_become_the_candidate_is_refused(ready, shadow, words):
    with pytest.raises(Rejected, match=words):
        apply(ready(shadow=SHADOWS), PromoteShadow(shadow, V3, T0))


def test_a_shadow_in_quarantine_does_not_become_the_candidate(begun, after):
    aborted = after(begun(V3, shadow=SHADOWS), Abort(T0, "It fails."))
    with pytest.raises(Rejected, match=r"m:3 is in quarantine: It fails\."):
        apply(aborted, PromoteShadow("m:3", V3, T0))


def test_a_route_without_shadows_says_so(ready):
    with pytest.raises(Rejected, match="Route r has no shadow 'm:3'; there: none"):
        apply(ready(), PromoteShadow("m:3", V3, T0))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (Abort(T0, "So."), "Say which arm of r is to be aborted; its arms are a, b"),
        (Abort(T0, "So.", arm="z", bound=V2), "Route r has no arm 'z'; its arms are a, b"),
    ],
)
def test_in_a_split_an_abort_names_its_arm(declared, command, words):
    with pytest.raises(Rejected, match=words):
        apply(declared(a="50%", b="50%"), command)
