"""How rollouts, shadows, guardrails and quarantines are compiled."""

import pytest

from router.compile import Pin, compile_route, references
from router.document.apply import apply
from router.document.commands import Abort, Advance, Hold, Pause, Promote, Release, Start
from router.document.document import Candidate
from router.draw.assignment import seed_state
from router.draw.layers import parse_holdout, parse_layer
from router.snapshot import Admission, assemble
from router.spec.spec import ArmRef
from tests.unit.router.support import T0, V2, compiled

LATEST = ArmRef("m", alias="challenger")
TRIED = ArmRef("m", version="2")


@pytest.mark.parametrize(
    ("commands", "ref"),
    [
        ([], TRIED),
        ([Hold()], TRIED),
        ([Pause()], TRIED),
        ([Promote(T0)], TRIED),
        ([Abort(T0, "It fails.")], TRIED),
    ],
)
def test_the_candidate_is_the_version_that_it_began_with(begun, after, commands, ref):
    assert references(after(begun(), *commands))["canary"] == ref


def test_before_a_rollout_every_arm_is_what_its_alias_names(ready):
    assert references(ready()) == {"stable": ArmRef("m", alias="champion"), "canary": LATEST}


def test_shadows_that_are_no_arms_have_to_be_resolved_too(ready):
    shadow = [{"arm": "m:7"}, {"arm": "m@next"}, {"arm": "stable"}]
    named = references(ready(shadow=shadow))
    assert list(named) == ["stable", "canary", "m:7", "m@next"]
    assert named["m@next"] == ArmRef("m", alias="next")


def test_a_rollout_is_compiled_like_a_split_of_its_weights(begun):
    route = compiled(apply(begun(), Advance(T0)))
    assert repr(assemble([route])).endswith(" r@3[stable 95% · canary 5%]>")
    assert (route.kind, route.arms[1].version, route.arms[1].propensity) == ("rollout", "2", 0.05)
    assert compiled(begun()).kind == "rollout"


def test_shadows_are_compiled_with_their_primaries(ready):
    shadows = [
        {"arm": "m:7", "sample": "20%", "deadline": "3s", "placement": "replica", "tolerance": 0.5},
        {"arm": "canary"},
        {"arm": "stable", "against": "canary"},
    ]
    route = compiled(ready(shadow=shadows))
    assert [(each.name, each.primaries) for each in route.shadows] == [
        ("m:7", {0, 1}),
        ("canary", {0}),
        ("stable", {1}),
    ]
    seven, canary, _ = route.shadows
    assert (seven.model, seven.version, seven.digest) == ("m", "7", "digest-7")
    assert (seven.sample_slots, seven.deadline_s, seven.placement, seven.tolerance) == (2000, 3.0, "replica", 0.5)
    assert seven.seed_state == seed_state("r:shadow:m:7") != canary.seed_state
    assert (canary.version, canary.sample_slots, canary.deadline_s, canary.placement) == ("9", 10_000, 1.0, "process")
    assert repr(route) == "r@1[stable 100% · canary 0% · shadow m:7 · shadow canary · shadow stable]"


def test_a_shadow_that_is_the_candidate_is_the_version_that_is_tried(begun):
    route = compiled(begun(shadow=[{"arm": "canary"}]))
    assert (route.shadows[0].version, route.shadows[0].digest) == ("2", "digest-2")


def test_guardrails_are_compiled_into_what_has_to_be_seen(ready):
    guardrails = [
        {"slower_than": "50ms", "worse_by": 0},
        {"errors": {"worse_by": 0}},
        {"slower_than": "1s", "worse_by": 0},
        {"disagreement": {"above": "1%", "sample": "10%"}},
    ]
    route = compiled(ready(guardrails=guardrails))
    assert route.slower_than_us == (50_000, 1_000_000)
    assert [(each.name, each.primaries, each.sample_slots) for each in route.shadows] == [("stable", {1}, 1000)]


def test_who_takes_part_is_compiled(ready):
    layer = {"name": "l", "range": [0, 0.5]}
    assert compiled(ready()).admission is None
    route = compiled(ready(target={"headers.x": "y"}, layer=layer, holdout="5%"))
    assert route.admission == Admission(0, True, parse_layer(layer), parse_holdout("5%", "r"))
    assert compiled(ready(holdout="5%")).admission == Admission(0, False, None, parse_holdout("5%", "r"))


def test_what_is_in_quarantine_is_not_a_fallback(declared, after):
    document = declared(a="40%", b="40%", c="20%", fallback={"a": "b", "b": "c"})
    assert compiled(document).fallbacks == ((1, 2), (2,), ())
    aborted = apply(document, Abort(T0, "It fails.", arm="b", bound=V2))
    assert compiled(aborted).fallbacks == ((2,), (2,), ())
    assert compiled(apply(aborted, Release("2"))).fallbacks == ((1, 2), (2,), ())


def test_a_shadow_without_a_pin_is_left_out(ready):
    pins = {"stable": Pin("1", "a"), "canary": Pin("2", "b")}
    route = compile_route(ready(shadow=[{"arm": "m:7"}, {"arm": "canary"}]), pins)
    assert [shadow.name for shadow in route.shadows] == ["canary"]


def test_an_arm_without_a_pin_is_left_out_if_it_has_no_weight(declared):
    document = declared(a="0%", b="60%", c="40%", fallback={"c": "a", "a": "b"}, shadow=[{"arm": "m:7"}])
    pins = {name: Pin(name, name) for name in ("b", "c", "m:7")}
    route = compile_route(document, pins)
    assert [arm.name for arm in route.arms] == ["b", "c"]
    assert route.table == bytes(6000) + b"\1" * 4000
    assert route.fallbacks == ((), (0,))
    assert route.shadows[0].primaries == {0, 1}


@pytest.mark.parametrize("missing", ["b", "c"])
def test_an_arm_that_answers_needs_a_pin(declared, missing):
    document = declared(a="60%", b="40%", c="0%", fallback="c", holdout="5%")
    with pytest.raises(KeyError, match=missing):
        compile_route(document, {name: Pin(name, name) for name in "abc" if name != missing})


def test_a_value_is_rolled_out_and_stays_what_it_is(ready, after):
    arms = {"stable": {"value": {"columns": 2}}, "canary": {"value": {"columns": 3}}}
    made = ready(arms=arms)
    ref = made.spec.arms["canary"]
    begun = after(made, Start(Candidate(ref.version, "digest"), T0))
    for document in (made, begun, after(begun, Promote(T0)), after(begun, Abort(T0, "bad"))):
        assert references(document) == made.spec.arms
    assert compiled(begun).arms[1].version == ref.version
    assert [(held.name, held.digest) for held in after(begun, Abort(T0, "bad")).quarantine] == [(str(ref), "digest")]
