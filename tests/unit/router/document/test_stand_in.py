"""Which version an arm serves while its alias names the candidate, or a version in quarantine."""

from dataclasses import replace

import pytest

from router.document.commands import Abort, Follow, Promote, Start, Undo, apply
from router.document.document import Candidate, from_dict, to_dict
from router.document.stand_in import stand_in
from router.spec.spec import ArmRef
from tests.unit.router.support import T0, V1, V2, V3

BEFORE = ArmRef("m", version="1")


@pytest.fixture
def rolled(ready):
    return apply(ready(), Start(V2, T0, {"stable": V1}))


def test_while_a_rollout_is_under_way_no_other_arm_follows_its_alias_to_the_candidate(rolled):
    assert stand_in(rolled, "stable", V2) == BEFORE
    assert stand_in(rolled, "stable", V3) is None
    assert stand_in(rolled, "stable", V1) is None
    assert stand_in(rolled, "canary", V2) is None


def test_what_was_promoted_is_followed(rolled):
    assert stand_in(apply(rolled, Promote(T0)), "stable", V2) is None


@pytest.mark.parametrize("is_promoted", [True, False])
def test_an_alias_that_names_a_version_in_quarantine_is_not_followed(rolled, is_promoted):
    before = apply(rolled, Promote(T0)) if is_promoted else rolled
    aborted = apply(before, Abort(T0, "It fails."))
    assert stand_in(aborted, "stable", V2) == BEFORE
    assert stand_in(apply(before, Abort(T0, "It fails.", is_held=False)), "stable", V2) is None


def test_a_version_in_quarantine_never_stands_in(rolled):
    quarantine = apply(rolled, Abort(T0, "It fails.")).quarantine
    held_before = replace(
        rolled, quarantine=quarantine, rollout=replace(rolled.rollout, others={"stable": V2}, candidate=V3)
    )
    assert stand_in(held_before, "stable", V3) is None


def test_an_arm_that_is_bound_to_a_version_keeps_it(ready):
    begun = apply(ready(arms={"stable": "m:1", "canary": "m@challenger"}), Start(V2, T0, {"stable": V1}))
    assert stand_in(begun, "stable", V2) is None


def test_what_the_others_served_is_stored_and_kept_by_a_rollout_that_follows_its_alias(rolled):
    followed = apply(rolled, Follow(V3, T0))
    assert from_dict(to_dict(followed)) == followed
    assert followed.rollout.others == {"stable": V1}
    assert apply(followed, Undo(rolled, T0)).rollout.others == {"stable": V1}
    old = to_dict(rolled)
    del old["rollout"]["others"]
    assert from_dict(old).rollout.others == {}
    assert stand_in(from_dict(old), "stable", Candidate("2", V2.digest)) is None
