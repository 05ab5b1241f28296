"""The compiled snapshot: how it prints, and what its hash covers."""

import json
from dataclasses import replace

import pytest

from router.compile import Pin, compile_route
from router.document.apply import apply
from router.document.commands import Declare
from router.document.stored import from_dict, to_dict
from router.draw.assignment import seed_state
from router.errors import Corrupt
from router.snapshot import assemble
from router.spec.parse import parse_spec

SPEC = {
    "route": "cancer",
    "arms": {"stable": "cancer@champion", "canary": "cancer:3"},
    "split": {"stable": "90%", "canary": "10%"},
    "unit": "header:X-User-Id",
    "fallback": "stable",
    "deadline": "500ms",
}
PINS = {"stable": Pin("2", "aa"), "canary": Pin("3", "bb")}


def compiled(pins: dict[str, Pin] = PINS, **change: object):
    return compile_route(apply(None, Declare(parse_spec({**SPEC, **change}))), pins)


def test_a_snapshot_reads_as_designed():
    other = compile_route(
        apply(None, Declare(parse_spec({"route": "alpha", "arms": {"x": "m:1"}, "split": {"x": 1}}))),
        {"x": Pin("1", "cc")},
    )
    snapshot = assemble([compiled(), other])
    assert repr(snapshot) == f"<Snapshot {snapshot.hash} alpha@1[x 100%] cancer@1[stable 90% · canary 10%]>"


def test_a_route_is_compiled_with_what_the_registry_says():
    route = compiled()
    stable, canary = route.arms
    assert (stable.name, stable.model, stable.version, stable.digest, stable.alias) == (
        "stable",
        "cancer",
        "2",
        "aa",
        "champion",
    )
    assert (stable.propensity, canary.propensity) == (0.9, 0.1)
    assert (canary.version, canary.alias) == ("3", None)
    assert route.table == bytes(9000) + b"\1" * 1000
    assert (route.fallbacks, route.deadline_s, route.document_version) == (((), (0,)), 0.5, 1)
    assert route.seed_state == seed_state("cancer")


@pytest.mark.parametrize(
    ("unit", "header", "parameter"),
    [
        ("header:X-User-Id", b"x-user-id", None),
        ("parameters.user.id", None, "user.id"),
        (None, None, None),
    ],
)
def test_the_unit_comes_from_a_header_or_a_parameter(unit, header, parameter):
    route = compiled(unit=unit)
    assert (route.unit_header, route.unit_parameter) == (header, parameter)


def test_the_same_content_has_the_same_hash():
    stored = from_dict(json.loads(json.dumps(to_dict(apply(None, Declare(parse_spec(SPEC)))))))
    assert compile_route(stored, dict(reversed(PINS.items()))).hash == compiled().hash


@pytest.mark.parametrize(
    "change",
    [
        {"split": {"stable": "80%", "canary": "20%"}},
        {"seed": "another"},
        {"fallback": "canary"},
        {"fallback": None},
        {"fallback": {"canary": "stable"}},
        {"deadline": "501ms"},
        {"deadline": None},
        {"unit": "header:x-session"},
        {"unit": None},
        {"arms": {"stable": "cancer@latest", "canary": "cancer:3"}},
        {"arms": {"stable": "tumour@champion", "canary": "cancer:3"}},
        {"arms": {"canary": "cancer:3", "stable": "cancer@champion"}},
        {"pins": {**PINS, "stable": Pin("4", "aa")}},
        {"pins": {**PINS, "stable": Pin("2", "ff")}},
        {"pins": {"stable": PINS["canary"], "canary": PINS["stable"]}},
    ],
)
def test_other_content_has_another_hash(change):
    assert compiled(**change).hash != compiled().hash
    assert assemble([compiled(**change)]).hash != assemble([compiled()]).hash


def test_another_version_of_the_document_has_another_hash():
    document = apply(None, Declare(parse_spec(SPEC)))
    assert compile_route(replace(document, version=2), PINS).hash != compile_route(document, PINS).hash


def test_the_order_in_which_routes_arrive_does_not_matter():
    one, two = compiled(), compiled(route="second")
    assert assemble([one, two]) == assemble([two, one])
    assert list(assemble([two, one]).routes) == ["cancer", "second"]
    assert assemble([one]).hash != assemble([one, two]).hash


def test_a_broken_slot_table_is_not_compiled():
    document = apply(None, Declare(parse_spec(SPEC)))
    overlapping = replace(document, slots={"stable": ((0, 9000),), "canary": ((8999, 1000),)})
    with pytest.raises(Corrupt, match="arm canary"):
        compile_route(overlapping, PINS)


def test_every_arm_needs_a_pin():
    with pytest.raises(KeyError, match="canary"):
        compiled(pins={"stable": Pin("2", "aa")})


def test_only_the_guardrails_of_a_bandit_have_requests_weighed():
    guarded = {"guardrails": [{"errors": {"worse_by": "1%"}}]}
    bandit = {
        "split": None, "metrics": {"click": {"window": "1h"}}, "bandit": {"policy": "thompson", "reward": "click"},
    }  # fmt: skip
    assert compiled(**bandit, **guarded).compared_with == "stable"
    assert [compiled(**each).compared_with for each in (bandit, guarded)] == ["", ""]
