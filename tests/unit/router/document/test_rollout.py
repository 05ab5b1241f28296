"""Rollouts that advance by themselves. Time and samples are arguments."""

import pytest

from router.compile import references
from router.document.apply import apply
from router.document.commands import Advance, Declare, Follow, Hold, Resume, Shift, Withdraw
from router.document.document import Document
from router.document.phase import Event, Phase
from router.document.rollout import due_event
from router.errors import Rejected
from router.spec.spec import ArmRef
from tests.unit.router.support import STEP_S, T0, V1, V3


def tick(document: Document, now_s: float, samples: int = 10**6) -> Document:
    """Apply the event that is due, as every replica does periodically."""
    command = {None: None, Event.ADVANCE: Advance(now_s), Event.HOLD: Hold()}[
        due_event(document, now_s - document.rollout.since_s, samples)
    ]
    return document if command is None else apply(document, command)


def stands(document: Document) -> tuple[str, int, int]:
    """Return the phase, the step, and the candidate's slots."""
    return str(document.rollout.phase), document.rollout.step, document.weights["canary"]


def test_nothing_begins_by_itself(ready):
    document = ready()
    assert stands(document) == ("READY", 0, 0)
    assert tick(document, T0 + 10 * STEP_S) is document


def test_a_rollout_by_time_goes_from_step_to_step_to_the_end(begun):
    document, seen = begun(), []
    for second in range(0, 2000, 10):
        moved = tick(document, T0 + second)
        if moved is not document:
            seen.append((second, *stands(moved), moved.version))
        document = moved
    assert stands(begun()) == ("PROGRESSING", 0, 100)
    assert seen == [
        (600, "PROGRESSING", 1, 500, 3),
        (1200, "PROGRESSING", 2, 2500, 4),
        (1800, "PROMOTED", 2, 10_000, 5),
    ]


def test_a_rollout_by_samples_needs_them_at_each_step(begun):
    document, counted, seen = begun(every=None, samples=50), 0, []
    for request in range(1, 200):
        counted += 1
        moved = tick(document, T0, counted)
        if moved is not document:
            seen.append((request, *stands(moved)))
            counted = 0  # samples are counted since the version that began the step
        document = moved
    assert seen == [(50, "PROGRESSING", 1, 500), (100, "PROGRESSING", 2, 2500), (150, "PROMOTED", 2, 10_000)]


def test_a_step_begins_when_it_is_entered_not_when_it_was_due(begun):
    late = tick(begun(), T0 + 5 * STEP_S)
    assert (late.rollout.since_s, late.rollout.since_version) == (T0 + 5 * STEP_S, 3)
    assert tick(late, T0 + 5.9 * STEP_S) is late
    assert stands(tick(late, T0 + 6 * STEP_S)) == ("PROGRESSING", 2, 2500)


@pytest.mark.parametrize(
    ("keys", "seconds", "samples", "event"),
    [
        ({}, 599.9, 10, None),
        ({}, 600, 10, Event.ADVANCE),
        ({}, 600, 0, None),  # a candidate without a request never advances
        ({"every": None, "samples": 50}, 0, 49, None),
        ({"every": None, "samples": 50}, 0, 50, Event.ADVANCE),
        ({"samples": 50}, 599, 50, None),
        ({"samples": 50}, 600, 49, None),
        ({"samples": 50}, 600, 50, Event.ADVANCE),
        ({"steps": [{"weight": "1%", "approve": True}], "every": None}, 0, 1, Event.HOLD),
        ({"steps": [{"weight": "1%", "approve": True}]}, 599, 1, None),
        ({"limits": {"canary": {"ceiling": "4.99%"}}}, 600, 1, Event.HOLD),
        ({"limits": {"canary": {"ceiling": "5%"}}}, 600, 1, Event.ADVANCE),
        ({"steps": ["1%"], "limits": {"canary": {"ceiling": "99%"}}}, 600, 1, Event.HOLD),
    ],
)
def test_when_a_step_is_over(begun, keys, seconds, samples, event):
    assert due_event(begun(**keys), seconds, samples) is event


def test_only_what_is_progressing_is_ever_due(begun, declared, after):
    held = apply(begun(), Hold())
    for document in (held, after(begun(), Shift({"canary": 0})), declared(a="100%")):
        assert due_event(document, 10 * STEP_S, 10**6) is None


def test_a_last_step_of_everything_is_the_promotion_itself(begun):
    last = tick(begun(steps=["1%", "100%"]), T0 + STEP_S)
    assert stands(last) == ("PROMOTED", 1, 10_000)


def test_a_step_that_needs_approval_waits_for_it(begun):
    document = begun(steps=["1%", {"weight": "5%", "approve": True}, "25%"])
    held = tick(tick(document, T0 + STEP_S), T0 + 2 * STEP_S)
    assert stands(held) == ("WAITING", 1, 500)
    assert tick(held, T0 + 100 * STEP_S) is held
    approved = apply(held, Resume(T0 + 101 * STEP_S))
    assert stands(approved) == ("PROGRESSING", 2, 2500)
    assert (approved.rollout.since_s, approved.rollout.since_version) == (T0 + 101 * STEP_S, held.version + 1)


def test_approval_of_the_last_step_is_the_promotion(begun):
    held = tick(begun(steps=[{"weight": "50%", "approve": True}]), T0 + STEP_S)
    assert stands(apply(held, Resume(T0))) == ("PROMOTED", 0, 10_000)


@pytest.mark.parametrize(
    "keys", [{"steps": [{"weight": "1%", "approve": True}, "5%"]}, {"limits": {"canary": {"ceiling": "2%"}}}]
)
def test_a_step_that_needs_approval_is_not_advanced(begun, keys):
    with pytest.raises(Rejected, match="The next step of route r needs approval: `pointsman resume`"):
        apply(begun(**keys), Advance(T0 + STEP_S))


def test_a_rollout_that_waits_for_approval_is_not_advanced(begun):
    held = tick(begun(steps=[{"weight": "50%", "approve": True}]), T0 + STEP_S)
    with pytest.raises(Rejected, match="The rollout is WAITING, where finish is not possible"):
        apply(held, Advance(T0 + STEP_S))


def test_at_its_ceiling_a_rollout_waits_until_the_ceiling_is_lifted(begun):
    held = tick(tick(begun(limits={"canary": {"ceiling": "5%"}}), T0 + STEP_S), T0 + 2 * STEP_S)
    assert stands(held) == ("WAITING", 1, 500)
    with pytest.raises(
        Rejected, match="Arm canary may have 5% at most by itself; `pointsman promote r` gives it every"
    ):
        apply(held, Resume(T0))
    lifted = apply(held, Declare(begun(limits={"canary": {"ceiling": "30%"}}).spec))
    assert stands(lifted) == ("WAITING", 1, 500)
    assert stands(apply(lifted, Resume(T0))) == ("PROGRESSING", 2, 2500)


def test_several_arms_share_what_the_candidate_leaves_them(begun):
    arms = {"canary": "m:3", "a": "m:1", "b": "m:2"}
    document = begun(arms=arms, **{"from": {"a": "75%", "b": "25%"}})
    assert document.weights == {"canary": 100, "a": 7425, "b": 2475}
    assert tick(document, T0 + STEP_S).weights == {"canary": 500, "a": 7125, "b": 2375}


def test_each_step_moves_no_more_than_it_must(begun):
    before = begun()
    grown = tick(before, T0 + STEP_S)
    assert grown.slots == {"stable": ((0, 9500),), "canary": ((9900, 100), (9500, 400))}


def test_a_rollout_that_follows_its_alias_begins_anew(begun):
    document = tick(begun(), T0 + STEP_S)
    moved = apply(document, Follow(V3, T0 + 900))
    assert stands(moved) == ("PROGRESSING", 0, 100)
    assert (moved.rollout.candidate, moved.rollout.since_s, moved.rollout.since_version) == (V3, T0 + 900, 4)
    assert (moved.trial_version, moved.trial_s) == (4, T0 + 900)  # requests of version 2 do not count
    assert apply(apply(document, Hold()), Follow(V3, T0)).rollout.phase is Phase.PROGRESSING


def test_a_rollout_that_is_withdrawn_blames_no_version(begun):
    document = tick(begun(), T0 + STEP_S)
    withdrawn = apply(document, Withdraw(V1, T0 + 900))
    assert (stands(withdrawn), withdrawn.rollout.candidate) == (("READY", 0, 0), None)
    assert (withdrawn.quarantine, withdrawn.weights["stable"]) == ((), 10_000)
    assert withdrawn.bound["canary"] == V1


def test_the_candidate_serves_as_the_version_that_it_began_with(begun, ready):
    assert references(ready())["canary"] == ArmRef("m", alias="challenger")
    assert references(begun())["canary"] == ArmRef("m", version="2")
    assert references(begun())["stable"] == ArmRef("m", alias="champion")
