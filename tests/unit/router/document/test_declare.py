"""What a declaration changes in a document, and what it keeps."""

from dataclasses import replace

import pytest

from router.document.apply import apply
from router.document.commands import Abort, Advance, Declare, Hold, Pause, Promote, Resume, Shift
from router.document.document import Document, RolloutState
from router.document.phase import Phase
from router.document.rollout import due_event
from router.errors import Rejected
from router.spec.parse import parse_spec
from tests.unit.router.document.test_shift import moved, percent
from tests.unit.router.support import ROLLOUT, STEP_S, T0

LATER = T0 + 10_000.0


def test_a_first_declaration_is_version_one(declared):
    document = declared(a="90%", b="10%")
    assert document.version == 1
    assert document.slots == {"a": ((0, 9000),), "b": ((9000, 1000),)}
    assert document.rollout is None


def test_a_first_rollout_is_ready_and_its_candidate_has_nothing(ready):
    document = ready()
    assert document == Document(
        version=1,
        spec=document.spec,
        slots={"stable": ((0, 10_000),), "canary": ()},
        rollout=RolloutState(),
        trial_s=T0,
        declared_us=round(T0 * 1_000_000),
    )


def test_declaring_again_moves_as_little_as_the_weights_allow(declared):
    before = declared(a="25%", b="25%", c="25%", d="25%")
    after = apply(before, Declare(declared(a="40%", b="25%", c="25%", d="10%").spec))
    assert after.version == 2
    assert moved(before, after) == 1500  # d gives 2500 - 1000; ranges laid out anew would move 4490


def test_declaring_the_same_again_moves_nothing(declared):
    before = apply(declared(a="90%", b="10%"), Shift(percent(b=30)))
    after = apply(before, Declare(before.spec, at_s=LATER))
    assert after == replace(before, version=3)


def test_an_arm_that_is_dropped_leaves_its_slots_to_the_new_one(declared):
    before = declared(a="50%", b="30%", c="20%")
    after = apply(before, Declare(declared(a="50%", c="20%", d="30%").spec))
    assert after.slots == {"a": ((0, 5000),), "c": ((8000, 2000),), "d": ((5000, 3000),)}
    assert moved(before, after) == 3000


def test_a_declaration_of_another_route_is_refused(declared):
    document = declared(a="100%")
    with pytest.raises(Rejected, match="The document is of route r, the declaration of route other"):
        apply(document, Declare(replace(document.spec, route="other")))


def test_a_route_that_was_never_declared_has_nothing_to_change():
    with pytest.raises(Rejected, match="There is no such route yet; declare it first"):
        apply(None, Shift(percent(a=10)))


@pytest.mark.parametrize(
    ("change", "is_new_trial"),
    [
        ({"deadline": "1s"}, False),
        ({"split": {"a": "50%", "b": "50%"}}, False),
        ({"arms": {"a": "m:1", "b": "m:9"}}, True),
        ({"guardrails": [{"errors": {"worse_by": "1%"}}]}, True),
    ],
)
def test_a_trial_begins_anew_when_what_is_tried_changes(declared, change, is_new_trial):
    before = declared(a="90%", b="10%", fallback="a")
    split = {"route": "r", "arms": {"a": "m:1", "b": "m:2"}, "split": {"a": "90%", "b": "10%"}, "fallback": "a"}
    after = apply(before, Declare(parse_spec({**split, **change}), at_s=LATER))
    assert (after.trial_version, after.trial_s) == ((2, LATER) if is_new_trial else (1, 0.0))


def test_a_trial_begins_anew_when_another_arm_is_watched(declared):
    watched = [{"errors": {"worse_by": "1%"}}]
    before = declared(a="90%", b="10%", fallback="a", guardrails=watched)
    after = apply(before, Declare(declared(a="90%", b="10%", fallback="b", guardrails=watched).spec, at_s=LATER))
    assert (after.trial_version, after.trial_s) == (2, LATER)


@pytest.mark.parametrize(
    "command", [None, Hold(), Pause(), Promote(T0), Abort(T0, "It fails."), Shift(percent(canary=3))]
)
def test_another_deadline_moves_nothing_whatever_the_phase(begun, ready, command):
    before = begun() if command is None else apply(begun(), command)
    after = apply(before, Declare(ready(deadline="1s").spec, at_s=LATER))
    assert after == replace(before, version=before.version + 1, spec=after.spec)
    assert after.spec.deadline_s == 1.0


@pytest.mark.parametrize(
    ("steps", "step", "following"),
    [
        (["2%", "10%", "50%"], 0, 1000),  # the candidate has 5 %, so the next step is the first one above
        (["1%", "5%", "6%", "25%"], 1, 600),
        (["10%", "50%"], 0, 1000),  # no step is left out
        (["1%", "2%"], 1, 10_000),  # the candidate has passed the last step
    ],
)
def test_other_steps_move_nothing_now(begun, ready, steps, step, following):
    before = apply(begun(), Advance(T0))
    after = apply(before, Declare(ready(steps=steps, every="20m").spec, at_s=LATER))
    assert after.slots == before.slots
    assert after.rollout == replace(before.rollout, step=step)
    assert due_event(after, 1.9 * STEP_S, 10**6) is None
    assert due_event(after, 2 * STEP_S, 10**6) is not None
    assert apply(after, Advance(LATER)).weights["canary"] == following


@pytest.mark.parametrize("command", [None, Hold()])
@pytest.mark.parametrize(
    "change",
    [
        {"arms": {"stable": "m@champion", "canary": "m:9"}},
        {"rollout": {**ROLLOUT["rollout"], "of": "stable"}},
        {"arms": {**ROLLOUT["arms"], "third": "m:3"}, "rollout": {**ROLLOUT["rollout"], "from": "third"}},
        {"rollout": None, "split": {"stable": "50%", "canary": "50%"}},
    ],
)
def test_what_is_being_rolled_out_is_not_exchanged(begun, after, change, command):
    document = begun() if command is None else apply(begun(), command)
    other = Declare(parse_spec({**ROLLOUT, **change}), at_s=LATER)
    with pytest.raises(
        Rejected, match=r"A rollout is (PROGRESSING|WAITING), and the declaration changes what is rolled"
    ):
        apply(document, other)
    assert after(document, Pause(), other).rollout in (RolloutState(), None)


def test_what_is_exchanged_while_paused_begins_with_nothing(begun, after):
    other = parse_spec({**ROLLOUT, "arms": {"stable": "m@champion", "canary": "m:9"}})
    document = after(begun(), Advance(T0), Pause(), Declare(other))
    assert (document.rollout, document.weights) == (RolloutState(), {"stable": 10_000, "canary": 0})


def test_the_other_arms_may_change_meanwhile(begun, after):
    arms = {"stable": "m:7", "canary": "m@challenger", "third": "m:3"}
    spec = parse_spec({**ROLLOUT, "arms": arms, "rollout": {**ROLLOUT["rollout"], "from": "stable"}})
    document = after(begun(), Advance(T0), Declare(spec, at_s=LATER))
    assert document.weights == {"stable": 9500, "canary": 500, "third": 0}
    assert document.rollout.phase is Phase.PROGRESSING
    assert (document.trial_version, document.trial_s) == (4, LATER)


def test_a_ceiling_below_what_the_candidate_has_is_refused(begun, ready, after):
    stepped = after(begun(), Advance(T0), Advance(T0))
    lower = Declare(ready(limits={"canary": {"ceiling": "20%"}}).spec)
    with pytest.raises(Rejected, match="Arm canary would get 25%, but its limits are 0% to 20%"):
        apply(stepped, lower)
    assert after(stepped, Promote(T0), lower).weights["canary"] == 10_000  # a promotion is above any ceiling
    smaller = after(stepped, Shift(percent(canary=10)), lower)
    with pytest.raises(Rejected, match="Arm canary may have 20% at most by itself"):
        apply(replace(smaller, rollout=replace(smaller.rollout, step=2)), Resume(T0))


def test_a_split_becomes_a_rollout_and_back(declared, ready):
    split = {**ROLLOUT, "rollout": None, "split": {"stable": "60%", "canary": "40%"}}
    document = apply(None, Declare(parse_spec(split)))
    rolled = apply(document, Declare(ready().spec, at_s=LATER))
    assert (rolled.rollout, rolled.weights) == (RolloutState(), {"stable": 10_000, "canary": 0})
    back = apply(rolled, Declare(parse_spec(split)))
    assert (back.rollout, back.weights, back.version) == (None, {"stable": 6000, "canary": 4000}, 3)
