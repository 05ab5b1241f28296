"""What is due when an alias names another version: one test for each row of the table in docs/rollouts.md."""

from typing import Any

import pytest

from router.document.apply import apply
from router.document.commands import (
    Abort,
    Bind,
    Declare,
    Follow,
    Hold,
    Pause,
    Promote,
    PromoteShadow,
    Release,
    Resume,
    Start,
    Undo,
    Withdraw,
)
from router.document.document import Candidate, Document
from router.document.follow import Following, Named, following
from router.draw.assignment import BUCKETS
from router.spec.parse import parse_spec
from tests.unit.router.support import T0, V1, V2, V3

SPLIT: dict[str, Any] = {
    "route": "r",
    "arms": {"a": "m@champion", "b": "m@challenger", "c": "m:9"},
    "split": {"a": "60%", "b": "30%", "c": "10%"},
    "fallback": "a",
}
ROLLOUT: dict[str, Any] = {
    "route": "r",
    "arms": {"stable": "m@champion", "canary": "m@challenger"},
    "rollout": {"of": "canary", "steps": ["1%", "5%"], "every": "10m", "starts": "by_alias"},
}
V4 = Candidate("4", "digest-4")
V9 = Candidate("9", "digest-9")
NOTHING = Following((), ())


def declare(raw: dict[str, Any], **aliases: Candidate) -> Document:
    spec = parse_spec(raw)
    named = {name: aliases[ref.alias] for name, ref in spec.aliases.items()}
    return apply(None, Declare(spec, T0, named))


def split(champion: Candidate = V1, challenger: Candidate = V2, **more: Any) -> Document:
    return declare({**SPLIT, **more}, champion=champion, challenger=challenger)


def rollout(champion: Candidate = V1, challenger: Candidate = V1, **more: Any) -> Document:
    own = {key: more.pop(key) for key in ("starts",) if key in more}
    raw = {**ROLLOUT, "rollout": {**ROLLOUT["rollout"], **own}, **more}
    return declare(raw, champion=champion, challenger=challenger)


def one_alias(named: Candidate = V1) -> Document:
    return declare({**ROLLOUT, "arms": {"stable": "m@champion", "canary": "m@champion"}}, champion=named)


def later(document: Document) -> float:
    """Return a time at which no alias waits because it has moved often."""
    return max((each for known in document.followed.values() for each in known.moves_s), default=T0) + 1000.0


def look(document: Document, **aliases: Candidate | Named):
    """Return what is due while the aliases name these versions."""
    named = {}
    for name, ref in document.spec.aliases.items():
        each = aliases.get(ref.alias)
        if each is not None:
            named[name] = each if isinstance(each, Named) else Named(each, tags={}, since_s=0.0)
    return following(document, named, later(document))


def followed(document: Document, **aliases: Candidate | Named) -> Document:
    """Return the document after everything that is due was made."""
    for _ in range(10):
        due = look(document, **aliases).due
        if not due:
            return document
        document = apply(document, due[0].command)
    raise AssertionError(due)


def test_in_a_split_an_alias_that_moved_moves_the_binding_at_once():
    document = split()
    found = look(document, champion=Named(V3, origin=" (registered by ada)"), challenger=V2)
    (due,) = found.due
    assert (due.command, due.what) == (Bind({"a": V3}, T0 + 1000), "follow a to 3")
    assert due.why == "m@champion names version 3 now (registered by ada)."
    moved = apply(document, due.command)
    assert moved.bound == {"a": V3, "b": V2}
    assert (moved.weights, moved.trial_version) == (document.weights, 2)
    assert look(moved, champion=V3, challenger=V2) == NOTHING


def test_aliases_that_move_together_are_followed_together_and_else_one_by_one():
    due = look(split(), champion=V3, challenger=V4).due
    assert [each.command.bound for each in due] == [{"a": V3, "b": V4}, {"a": V3}, {"b": V4}]


def test_an_old_document_is_bound_to_what_its_aliases_name():
    old = apply(None, Declare(parse_spec(SPLIT), T0))
    assert look(old, champion=V1, challenger=V2).due[0].command.bound == {"a": V1, "b": V2}
    assert followed(old, champion=V1).bound == {"a": V1}
    assert followed(old, champion=V1).followed == {}


def test_a_shadow_of_its_own_follows_its_alias_also_while_a_rollout_is_under_way():
    raw = {**ROLLOUT, "shadow": [{"arm": "m@next"}]}
    begun = apply(declare(raw, champion=V1, challenger=V2, next=V3), Start(V2, T0))
    moved = followed(begun, champion=V1, challenger=V2, next=V4)
    assert (moved.bound["m@next"], moved.trial_version) == (V4, begun.trial_version)


def test_a_rollout_that_starts_by_alias_begins_when_the_alias_moves():
    document = rollout()
    assert look(document, champion=V1, challenger=V1) == NOTHING
    (due,) = look(document, champion=V1, challenger=V2).due
    assert (due.command, due.what) == (Follow(V2, T0 + 1000), "follow to 2")
    begun = apply(document, due.command)
    assert (begun.rollout.phase, begun.weights["canary"], begun.bound["canary"]) == ("PROGRESSING", 100, V2)


def test_what_was_declared_with_two_versions_waits_for_the_alias_or_an_operator():
    assert look(rollout(challenger=V2), champion=V1, challenger=V2) == NOTHING


def test_a_rollout_that_starts_by_hand_binds_the_arm_without_traffic_and_does_not_begin():
    moved = followed(rollout(starts="by_hand"), champion=V1, challenger=V2)
    assert (moved.rollout.phase, moved.bound["canary"]) == ("READY", V2)


def test_one_that_starts_by_hand_stays_as_it_is_after_its_promotion():
    promoted = apply(apply(rollout(starts="by_hand"), Start(V2, T0)), Promote(T0))
    assert look(promoted, champion=V1, challenger=V3) == NOTHING


@pytest.mark.parametrize("starts", ["by_hand", "by_alias"])
def test_an_alias_that_moves_during_a_rollout_begins_it_anew(starts):
    begun = apply(rollout(starts=starts), Start(V2, T0))
    again = followed(apply(begun, Hold()), champion=V1, challenger=V3)
    assert (again.rollout.phase, again.rollout.step, again.rollout.candidate) == ("PROGRESSING", 0, V3)
    assert again.quarantine == ()


@pytest.mark.parametrize("starts", ["by_hand", "by_alias"])
def test_an_alias_that_moves_back_withdraws_the_rollout(starts):
    begun = apply(rollout(starts=starts), Start(V2, T0))
    (due,) = look(begun, champion=V1, challenger=V1).due
    assert (due.command, due.what) == (Withdraw(V1, T0 + 1000), "withdraw")
    assert due.why.endswith("The other arms serve it, so there is nothing to roll out.")
    withdrawn = apply(begun, due.command)
    assert (withdrawn.weights["canary"], withdrawn.quarantine, withdrawn.bound["canary"]) == (0, (), V1)
    again = followed(withdrawn, champion=V1, challenger=V2)
    assert again.rollout.phase == ("PROGRESSING" if starts == "by_alias" else "READY")


def test_a_rollout_that_is_paused_stays_and_says_so():
    paused = apply(apply(rollout(), Start(V2, T0)), Pause())
    for named in (V1, V3):
        found = look(paused, champion=V1, challenger=named)
        assert found.due == ()
        assert found.waits[0].endswith("Arm canary follows it when the rollout, which is PAUSED, is resumed.")
    assert followed(apply(paused, Resume(T0)), champion=V1, challenger=V3).rollout.candidate == V3


def test_the_other_arms_stay_while_a_rollout_is_under_way_and_follow_after_it():
    begun = apply(rollout(), Start(V2, T0))
    found = look(begun, champion=V2, challenger=V2)
    assert (found.due, len(found.waits)) == ((), 1)
    assert followed(apply(begun, Promote(T0)), champion=V2, challenger=V2).bound["stable"] == V2


def test_champion_equal_to_challenger_leaves_nothing_to_roll_out():
    moved = followed(rollout(challenger=V2), champion=V1, challenger=V1)
    assert (moved.rollout.phase, moved.bound["canary"], moved.weights["canary"]) == ("READY", V1, 0)


def test_one_alias_for_both_arms_rolls_out_every_version_against_the_one_before():
    document, serving = one_alias(), V1
    for newest in (V2, V3, V4):
        document = followed(document, champion=newest)
        assert (document.rollout.phase, document.rollout.candidate) == ("PROGRESSING", newest)
        assert document.bound == {"stable": serving, "canary": newest}
        assert document.weights == {"stable": 9900, "canary": 100}
        document = apply(document, Promote(T0))
        assert look(document, champion=newest) == NOTHING
        serving = newest


def test_an_alias_that_is_set_back_after_the_promotion_is_rolled_out_as_any_other():
    promoted = apply(followed(one_alias(), champion=V2), Promote(T0))
    back = followed(promoted, champion=V1)
    assert (back.rollout.candidate, back.bound["stable"], back.weights["canary"]) == (V1, V2, 100)


def test_a_promoted_version_stays_the_base_although_the_base_has_an_alias_of_its_own():
    promoted = apply(followed(rollout(), champion=V1, challenger=V2), Promote(T0))
    begun = followed(promoted, champion=V1, challenger=V3)
    assert begun.bound == {"stable": V2, "canary": V3}
    aborted = followed(apply(begun, Abort(T0, "It fails.")), champion=V1, challenger=V3)
    assert (aborted.bound["stable"], aborted.weights["stable"]) == (V2, BUCKETS)
    assert followed(aborted, champion=V4, challenger=V3).bound["stable"] == V4


@pytest.mark.parametrize("stable", ["m:1", "other@champion"])
def test_a_base_that_cannot_take_what_was_promoted_keeps_the_next_rollout_from_beginning(stable):
    arms = {"stable": stable, "canary": "m@challenger"}
    promoted = apply(followed(rollout(arms=arms), champion=V1, challenger=V2), Promote(T0))
    found = look(promoted, champion=V1, challenger=V3)
    assert found.due == ()
    assert "do not serve what was promoted" in found.waits[0]


def test_an_arm_with_the_candidates_alias_never_follows_it_by_itself():
    aborted = apply(followed(one_alias(), champion=V2), Abort(T0, "It fails."))
    assert look(aborted, champion=V2) == NOTHING
    after = followed(aborted, champion=V3)
    assert (after.bound, after.rollout.phase) == ({"stable": V1, "canary": V3}, "PROGRESSING")


def test_an_aborted_version_is_not_rolled_out_again_even_when_it_is_released():
    aborted = apply(followed(one_alias(), champion=V2), Abort(T0, "It fails."))
    assert look(apply(aborted, Release("2", T0)), champion=V2) == NOTHING


def test_a_version_in_quarantine_is_not_followed_until_it_is_released():
    held = apply(split(), Abort(T0, "It fails.", "b", V2))
    found = look(followed(held, champion=V1, challenger=V3), champion=V2, challenger=V3)
    assert found.due == ()
    assert found.waits == (
        "m@champion names version 2. Arm a does not follow it, because it is in quarantine: It fails. "
        "`pointsman release r m:2` lets it back.",
    )
    assert followed(apply(held, Release("2", T0)), champion=V2).bound["a"] == V2


def test_an_alias_that_names_nothing_changes_nothing_and_is_said():
    found = look(split(), champion=Named(None, trouble="Model m has no alias 'champion'."), challenger=V2)
    assert found == ((), ("Arm a goes on as it is: Model m has no alias 'champion'.",), False)


def test_an_artifact_that_was_replaced_under_its_name_is_not_followed():
    found = look(split(), champion=Candidate("1", "another"), challenger=V2)
    assert found.due == ()
    assert found.waits[0].endswith("its artifact is another one now. Publish it as a new version.")


def test_the_same_content_under_another_name_begins_no_rollout():
    again = Candidate("2-again", V2.digest)
    assert look(apply(rollout(), Start(V2, T0)), champion=V1, challenger=again) == NOTHING
    assert followed(rollout(challenger=V2), champion=V1, challenger=again).rollout.phase == "READY"


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        (None, "Arm a follows it once its tags are known."),
        ({}, "because it lacks the tag approved=true in the registry."),
        ({"approved": "false"}, "because it lacks the tag approved=true in the registry."),
    ],
)
def test_a_version_without_the_required_tags_is_not_followed(tags, words):
    document = split(require_tags={"approved": "true"})
    found = look(document, champion=Named(V3, tags=tags), challenger=V2)
    assert found.due == ()
    assert found.waits[0].endswith(words)
    assert found.may_pass
    assert followed(document, champion=Named(V3, tags={"approved": "true"})).bound["a"] == V3
    assert look(document, champion=Named(V1, tags={})) == NOTHING  # what is bound stays


def test_what_an_undo_left_is_followed_again_only_after_the_alias_has_named_another_version():
    first = split()
    second = followed(first, champion=V3, challenger=V2)
    undone = apply(second, Undo(first, T0, {"a": V3, "b": V2}))
    assert undone.bound == first.bound
    found = look(undone, champion=V3, challenger=V2)
    assert found.due == ()
    assert found.waits[0].endswith("Arm a was taken back from it, and follows the alias once it names another one.")
    assert followed(undone, champion=V4, challenger=V2).bound["a"] == V4
    elsewhere = followed(undone, champion=V1, challenger=V2)
    assert followed(elsewhere, champion=V3, challenger=V2).bound["a"] == V3


def test_without_the_registry_an_undo_holds_what_was_bound():
    second = followed(split(), champion=V3)
    undone = apply(second, Undo(split(), T0))
    assert look(undone, champion=V3).due == ()


def test_undoing_an_undo_holds_nothing():
    first = split()
    second = followed(first, champion=V3, challenger=V2)
    third = apply(second, Undo(first, T0, {"a": V3, "b": V2}))
    fourth = apply(third, Undo(second, T0, {"a": V3, "b": V2}))
    assert fourth.bound["a"] == V3
    assert look(fourth, champion=V3, challenger=V2) == NOTHING


def test_a_rollout_that_began_by_alias_and_was_undone_does_not_begin_again():
    first = one_alias()
    begun = followed(first, champion=V2)
    undone = apply(begun, Undo(first, T0, {"stable": V2, "canary": V2}))
    assert look(undone, champion=V2).due == ()
    assert apply(undone, Start(V2, T0)).followed["canary"].held == ""
    assert followed(undone, champion=V3).rollout.candidate == V3


def test_the_hold_of_a_promoted_arm_ends_as_well():
    promoted = apply(followed(one_alias(), champion=V2), Promote(T0))
    begun = followed(promoted, champion=V3)
    undone = apply(begun, Undo(promoted, T0, {"stable": V3, "canary": V3}))
    assert (undone.rollout.phase, look(undone, champion=V3).due) == ("PROMOTED", ())
    again = followed(undone, champion=V2)
    assert followed(again, champion=V3).rollout.candidate == V3


def test_after_an_abort_an_arm_with_the_same_version_goes_back_to_the_one_before():
    both = followed(split(), champion=V2, challenger=V2)
    assert both.bound == {"a": V2, "b": V2}
    aborted = apply(both, Abort(T0, "It fails.", "b", V2))
    assert (aborted.bound["a"], aborted.weights["b"]) == (V1, 0)
    assert look(aborted, champion=V2, challenger=V2).due == ()


def test_an_arm_without_an_earlier_version_stays():
    both = split(champion=V2, challenger=V2)
    assert apply(both, Abort(T0, "It fails.", "b", V2)).bound["a"] == V2


def test_the_bound_version_of_an_arm_is_aborted_where_no_other_is_given():
    aborted = apply(split(), Abort(T0, "It fails.", "b"))
    assert [held.version for held in aborted.quarantine] == ["2"]


def test_a_changed_reference_is_bound_anew_and_the_others_stay():
    document = split()
    spec = parse_spec({**SPLIT, "arms": {**SPLIT["arms"], "b": "m@next"}})
    changed = apply(document, Declare(spec, T0, {"a": V4, "b": V3, "c": V9}))
    assert changed.bound == {"a": V1, "b": V3}
    same = apply(document, Declare(document.spec, T0, {"a": V4, "b": V4}))
    assert (same.bound, same.followed) == (document.bound, document.followed)


def test_a_declaration_after_a_promotion_by_alias_binds_the_other_arm_to_what_was_promoted():
    promoted = apply(followed(one_alias(), champion=V2), Promote(T0))
    arms = {"stable": "m@champion", "canary": "m@champion"}
    split_again = parse_spec({"route": "r", "arms": arms, "split": {"stable": "100%", "canary": 0}})
    assert apply(promoted, Declare(split_again, T0)).bound == {"stable": V2, "canary": V2}
    again = parse_spec({**ROLLOUT, "arms": {**arms, "canary": "m@next"}})
    changed = apply(promoted, Declare(again, T0, {"canary": V3}))
    assert (changed.bound, changed.weights["stable"]) == ({"stable": V2, "canary": V3}, BUCKETS)
    same = apply(promoted, Declare(promoted.spec, T0))
    assert (same.bound, same.rollout) == (promoted.bound, promoted.rollout)


def test_a_shadow_that_is_promoted_is_compared_with_what_was_promoted_before():
    shadowed = {**ROLLOUT, "arms": {"stable": "m@champion", "canary": "m@champion"}, "shadow": [{"arm": "m:3"}]}
    begun = apply(declare(shadowed, champion=V1), Follow(V2, T0))
    promoted = apply(begun, Promote(T0))
    started = apply(promoted, PromoteShadow("m:3", V3, T0))
    assert started.bound == {"stable": V2}
    assert started.rollout.candidate == V3


def test_evidence_about_a_version_that_an_abort_takes_from_other_arms_does_not_count_any_more():
    both = followed(split(), champion=V2, challenger=V2)
    aborted = apply(both, Abort(T0 + 9, "It fails.", "b", V2))
    assert aborted.bound == {"a": V1, "b": V2}
    assert (aborted.trial_version, aborted.trial_s) == (aborted.version, T0 + 9)
    alone = apply(split(), Abort(T0 + 9, "It fails.", "b", V2))
    assert (alone.trial_version, alone.trial_s) == (1, T0)
