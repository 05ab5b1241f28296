"""What operators write, what is stored, and what is refused."""

import json
import string
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.assignment import BUCKETS
from router.commands import Declare, Shift, apply
from router.document import (
    MAX_ARMS,
    PLACEMENTS,
    ArmRef,
    RouteSpec,
    from_dict,
    parse_ref,
    parse_spec,
    spec_to_dict,
    to_dict,
)
from router.errors import Corrupt, Rejected
from router.slots import quantise

FULL = {
    "route": "fraud",
    "arms": {"stable": "fraud@champion", "canary": "fraud:17"},
    "split": {"stable": "90%", "canary": "10%"},
    "unit": "header:X-User-Id",
    "fallback": "stable",
    "deadline": "200ms",
    "batch_wait": "2ms",
    "placement": "dedicated",
    "seed": "spring",
}

YEAR_US = 365 * 86_400 * 1_000_000

letters = string.ascii_letters + string.digits
names = st.builds(str.__add__, st.sampled_from(letters), st.text(letters + "._-", max_size=6))
refs = st.one_of(
    st.builds(ArmRef, model=names, alias=names),
    st.builds(ArmRef, model=names, version=names),
)
units = st.one_of(
    st.text(string.ascii_lowercase + "-", min_size=1, max_size=6).map("header:{}".format),
    st.text(letters + "_.-", min_size=1, max_size=6).map("parameters.{}".format),
)


@st.composite
def specs(draw: st.DrawFn) -> RouteSpec:
    arms = draw(st.dictionaries(names, refs, min_size=1, max_size=5))
    parts = draw(st.lists(st.integers(0, 1000), min_size=len(arms), max_size=len(arms)).filter(any))
    split = quantise({arm: Fraction(part, sum(parts)) for arm, part in zip(arms, parts, strict=True)})
    return RouteSpec(
        route=draw(names),
        arms=arms,
        split=split,
        seed=draw(st.text(st.characters(exclude_categories=("C", "Z")), min_size=1)),
        unit=draw(st.none() | units),
        fallback=draw(st.none() | st.sampled_from(list(arms))),
        deadline_s=draw(st.none() | st.integers(1, YEAR_US).map(lambda micros: micros / 1_000_000)),
        batch_wait_s=draw(st.none() | st.integers(1, 1_000_000).map(lambda micros: micros / 1_000_000)),
        placement=draw(st.none() | st.sampled_from(PLACEMENTS)),
    )


def test_a_full_declaration_is_read():
    assert parse_spec(FULL) == RouteSpec(
        route="fraud",
        arms={"stable": ArmRef("fraud", alias="champion"), "canary": ArmRef("fraud", version="17")},
        split={"stable": 9000, "canary": 1000},
        seed="spring",
        unit="header:x-user-id",  # names of headers are compared in lower case
        fallback="stable",
        deadline_s=0.2,
        batch_wait_s=0.002,
        placement="dedicated",
    )


def test_what_is_not_said_has_a_default():
    spec = parse_spec({"route": "r", "arms": {"a": "m:1", "b": "m:2"}, "split": {"b": 1}})
    assert (spec.seed, spec.unit, spec.fallback, spec.deadline_s) == ("r", None, None, None)
    assert (spec.batch_wait_s, spec.placement) == (None, None)
    assert spec.split == {"a": 0, "b": 10_000}


def test_the_case_of_a_parameter_is_kept():
    assert parse_spec({**FULL, "unit": "parameters.userId"}).unit == "parameters.userId"


@given(specs())
@settings(deadline=None, max_examples=30)
def test_a_spec_is_written_as_it_is_read(spec):
    read = parse_spec(spec_to_dict(spec))
    assert read == spec
    assert (list(read.arms), list(read.split)) == (list(spec.arms), list(spec.split))


@given(specs(), st.lists(st.fractions(0, 1, max_denominator=BUCKETS), max_size=4))
@settings(deadline=None, max_examples=30)
def test_a_document_is_stored_as_it_is_read(spec, shares):
    document = apply(None, Declare(spec))
    for share in shares:
        try:
            document = apply(document, Shift({next(iter(spec.arms)): share}))
        except Rejected:
            continue
    read = from_dict(json.loads(json.dumps(to_dict(document))))
    assert read == document
    assert list(read.slots) == list(document.slots)


@pytest.mark.parametrize("deadline", ["12d", "365d", "1us"])
def test_a_document_with_a_long_or_short_deadline_can_be_read_back(deadline):
    document = apply(None, Declare(parse_spec({**FULL, "deadline": deadline})))
    assert from_dict(to_dict(document)) == document


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"route": None}, "route must be a name.*not None"),
        ({"route": 7}, "route must be a name.*not 7"),
        ({"route": "a/b"}, "route must be a name.*'a/b'"),
        ({"route": ".hidden"}, r"route must be a name.*'\.hidden'"),
        ({"route": "x" * 129}, "at most 128"),
        ({"arms": None}, "arms must name at least one arm"),
        ({"arms": {}}, "arms must name at least one arm"),
        ({"arms": ["stable"]}, "arms must name at least one arm"),
        ({"arms": {"a b": "m:1"}}, "An arm's name must be.*'a b'"),
        ({"arms": {1: "m:1"}}, "An arm's name must be.*not 1"),
        ({"arms": {"stable": "fraud"}}, "Arm stable must be bound to model@alias or model:version, not 'fraud'"),
        ({"arms": {"stable": 17}}, "Arm stable must be bound to.*not 17"),
        ({"split": None}, "split must give every arm its share"),
        ({"split": {}}, "split must give every arm its share"),
        ({"split": {"stable": "90%", "beta": "10%"}}, r"split names arm 'beta'.*\(stable, canary\)"),
        ({"split": {"stable": "90%", "canary": "7%"}}, "sum to 97%; they must sum to 100%"),
        ({"split": {"stable": 0, "canary": 0}}, "sum to 0%"),
        ({"split": {"stable": "most", "canary": "10%"}}, "The weight of arm stable must be a share"),
        ({"split": {"stable": 90, "canary": 10}}, "The weight of arm stable is 90; a share lies between"),
        ({"split": {"stable": None, "canary": 1}}, "The weight of arm stable must be a share.*not None"),
        ({"unit": "x-user-id"}, "unit must be header:<name> or parameters.<name>, not 'x-user-id'"),
        ({"unit": "header:"}, "unit must be"),
        ({"unit": 7}, "unit must be.*not 7"),
        ({"fallback": "beta"}, r"fallback names 'beta'.*\(stable, canary\)"),
        ({"fallback": ["stable"]}, "fallback names"),
        ({"deadline": "200"}, "deadline must be a duration with its unit"),
        ({"deadline": 0.2}, "deadline must be a duration with its unit"),
        (
            {"deadline": "0s"},
            "deadline is 0s; it must be a whole number of microseconds, at least one and at most 365d",
        ),
        ({"deadline": "366d"}, "deadline is 366d; it must be .* at most 365d"),
        ({"batch_wait": 2}, "batch_wait must be a duration with its unit"),
        ({"batch_wait": "0ms"}, "batch_wait is 0ms; it must be a whole number of microseconds, at least one"),
        ({"batch_wait": "1001ms"}, "batch_wait is 1001ms; it may be 1000ms at most"),
        ({"placement": "gpu"}, "placement must be replica or dedicated, not 'gpu'"),
        ({"placement": True}, "placement must be replica or dedicated, not True"),
        ({"placement": ["replica"]}, r"placement must be replica or dedicated, not \['replica'\]"),
        ({"seed": ""}, "seed must be a non-empty string"),
        ({"seed": 5}, "seed must be a non-empty string"),
        ({"seed": "a\x1f"}, "seed must be a non-empty string of printable characters"),
        ({"seed": "\ud800"}, "seed must be a non-empty string of printable characters"),
        ({"weights": {}}, "Unknown key weights; a route may have route, arms, split"),
        ({3: 4}, "Unknown key 3"),
        ({"rollout": {}}, "kind rollout are not supported"),
        ({"bandit": None}, "kind bandit are not supported"),
    ],
)
def test_an_illegal_declaration_is_refused_with_a_sentence(change, words):
    with pytest.raises(Rejected, match=words):
        parse_spec({**FULL, **change})


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_each_placement_may_be_asked_for(placement):
    assert parse_spec({**FULL, "placement": placement}).placement == placement


def test_the_longest_wait_for_company_is_a_second():
    assert parse_spec({**FULL, "batch_wait": "1s"}).batch_wait_s == 1.0


@pytest.mark.parametrize("raw", [None, [], "route: r", 7])
def test_what_is_no_mapping_is_refused(raw):
    with pytest.raises(Rejected, match="A route must be a mapping"):
        parse_spec(raw)


def test_a_route_has_a_limited_number_of_arms():
    def many(count: int) -> dict[str, object]:
        return {"route": "r", "arms": {f"a{n}": "m:1" for n in range(count)}, "split": {"a0": 1}}

    assert len(parse_spec(many(MAX_ARMS)).arms) == MAX_ARMS
    with pytest.raises(Rejected, match=f"at most {MAX_ARMS} arms; this one has {MAX_ARMS + 1}"):
        parse_spec(many(MAX_ARMS + 1))


@pytest.mark.parametrize("text", ["m@champion", "m:17", "a.b-c_d:1.2.3"])
def test_a_reference_is_printed_as_it_is_read(text):
    assert str(parse_ref(text)) == text


@pytest.mark.parametrize("text", ["m", "m@", "@a", "m:", ":1", "m@a:1", "m:1@a", "m 1:2", "m/../x:1", "", None])
def test_a_reference_of_another_form_is_refused(text):
    with pytest.raises(Rejected, match="An arm must be bound to model@alias or model:version"):
        parse_ref(text)


def _without(raw: dict, key: str) -> dict:
    return {name: value for name, value in raw.items() if name != key}


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda _: [], id="a list"),
        pytest.param(lambda _: None, id="nothing"),
        pytest.param(lambda raw: _without(raw, "version"), id="no version"),
        pytest.param(lambda raw: _without(raw, "spec"), id="no spec"),
        pytest.param(lambda raw: _without(raw, "slots"), id="no slots"),
        pytest.param(lambda raw: {**raw, "version": "one"}, id="a version in letters"),
        pytest.param(lambda raw: {**raw, "version": None}, id="a null version"),
        pytest.param(lambda raw: {**raw, "spec": {**raw["spec"], "split": {"a": "97%"}}}, id="a split of 97%"),
        pytest.param(lambda raw: {**raw, "slots": []}, id="slots in a list"),
        pytest.param(lambda raw: {**raw, "slots": {"a": 5}}, id="slots without runs"),
        pytest.param(lambda raw: {**raw, "slots": {**raw["slots"], "a": [[0]]}}, id="half a run"),
        pytest.param(lambda raw: {**raw, "slots": {**raw["slots"], "a": [[0, 8999]]}}, id="one slot too few"),
        pytest.param(lambda raw: {**raw, "slots": {**raw["slots"], "c": []}}, id="slots of an arm there is not"),
        pytest.param(lambda raw: {**raw, "slots": _without(raw["slots"], "b")}, id="no slots of an arm there is"),
        pytest.param(lambda raw: {**raw, "version": float("inf")}, id="an infinite version"),
        pytest.param(lambda raw: {**raw, "version": 0}, id="version zero"),
        pytest.param(lambda raw: {**raw, "version": 1.9}, id="version 1.9"),
    ],
)
def test_a_damaged_document_is_corrupt(declared, damage):
    raw = to_dict(declared(a="90%", b="10%"))
    with pytest.raises(Corrupt):
        from_dict(damage(raw))
