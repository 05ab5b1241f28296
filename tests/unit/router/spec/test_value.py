"""Arms without a model: what is read as a value, what is refused, and which version a value is."""

import hashlib
import json
from fractions import Fraction

import pytest
import yaml

from router.errors import Rejected
from router.spec.parse import parse_spec
from router.spec.spec import ArmRef
from router.spec.unparse import unparse_spec
from router.spec.value import MAX_BYTES, MAX_DEPTH, MAX_KEYS, MAX_ROUTE_BYTES, is_other_value, value_ref

NARROW, WIDE = {"layout": "narrow", "columns": 2}, {"layout": "wide", "columns": 3}
LAYOUT = {
    "route": "layout",
    "arms": {"narrow": {"value": NARROW}, "wide": {"value": WIDE}},
    "split": {"narrow": "50%", "wide": "50%"},
    "unit": "header:x-user-id",
}
MIXED = {
    "route": "mixed",
    "arms": {"model": "fraud:1", "safe": {"value": {"label": 0}}},
    "split": {"model": 1},
    "fallback": "safe",
}


def arms_of(**values):
    return parse_spec({**LAYOUT, "arms": {arm: {"value": value} for arm, value in values.items()}}).arms


def nested(levels):
    value = 1
    for _ in range(levels):
        value = [value]
    return value


def test_the_version_of_a_value_is_the_sha256_of_its_canonical_json():
    text = '{"columns":2,"layout":"narrow"}'
    digest = hashlib.sha256(text.encode()).hexdigest()
    ref = parse_spec(LAYOUT).arms["narrow"]
    assert ref == ArmRef("value", version=digest[:12], value=text)
    assert str(ref) == f"value:{digest[:12]}"
    assert value_ref(dict(reversed(NARROW.items()))) == ref
    assert value_ref(WIDE).version != ref.version


def test_a_value_is_written_as_it_is_read():
    written = unparse_spec(parse_spec(LAYOUT))
    assert written["arms"] == LAYOUT["arms"]
    for copy in (json.loads(json.dumps(written)), yaml.safe_load(yaml.safe_dump(written))):
        assert parse_spec(copy) == parse_spec(LAYOUT)


def test_a_number_has_a_fraction_in_all_arms_or_in_none():
    arms = arms_of(narrow={"price": 10, "ways": 1}, wide={"price": 9.5, "ways": 2})
    assert arms["narrow"].value == '{"price":10.0,"ways":1}'
    assert not is_other_value(arms["narrow"], value_ref({"price": 10, "ways": 1}))
    assert is_other_value(arms["narrow"], value_ref({"price": 10.5, "ways": 1}))
    assert is_other_value(arms["narrow"], ArmRef("m", version="1"))
    assert not is_other_value(ArmRef("m", version="2"), ArmRef("m", version="1"))


@pytest.mark.parametrize(
    ("arm", "words"),
    [
        ({}, "Arm wide has a value that is no mapping"),
        ({"value": {}}, "Arm wide has a value that is no mapping"),
        ({"value": "wide"}, "Arm wide has a value that is no mapping"),
        ({"value": WIDE, "model": "m:1"}, "Unknown key model in Arm wide; there may be value"),
        ({"value": {**WIDE, "columns": None}}, "value.columns is null, which is no output; leave the key out"),
        ({"value": {**WIDE, 3: 1}}, "Arm wide has a value with the key 3; a key is a text of 1 to 128"),
        ({"value": {"": 1}}, "Arm wide has a value with the key ''"),
        ({"value": {"a\n": 1}}, "Arm wide has a value with the key"),
        ({"value": {"k" * 129: 1}}, "Arm wide has a value with the key"),
        ({"value": {f"k{number}": 1 for number in range(MAX_KEYS + 1)}}, "a value of 65 keys; at most 64 are taken"),
        ({"value": {"layout": "wide"}}, r"Arm wide has the keys \['layout'\] and arm narrow \['columns', 'layout'\]"),
        ({"value": {**WIDE, "columns": "3"}}, "value.columns is a text in arm wide and a whole number in arm narrow"),
        ({"value": {**WIDE, "columns": True}}, "value.columns is true or false in arm wide and a whole number in arm"),
        ({"value": {**WIDE, "columns": [3]}}, "value.columns is a list or a mapping in arm wide"),
        ({"value": {**WIDE, "columns": float("nan")}}, "value.columns has nan, which is no JSON"),
        ({"value": {**WIDE, "columns": 1e400}}, "value.columns has inf, which is no JSON"),
        ({"value": {**WIDE, "columns": 2**63}}, "no number of 64 bits"),
        ({"value": {**WIDE, "columns": [10**5000]}}, "a number of over 40 digits"),
        ({"value": {**WIDE, "layout": {"on": yaml.safe_load("2026-11-30")}}}, r"datetime.date.*in quotes it is a text"),
        ({"value": {**WIDE, "layout": {1: 2}}}, "value.layout has the key 1; in JSON a key is a text"),
        ({"value": {**WIDE, "layout": "\ud800"}}, "value.layout has a text with half of a character"),
        ({"value": {**WIDE, "layout": {"\ud800": 1}}}, "value.layout has a text with half of a character"),
        ({"value": {**WIDE, "layout": nested(MAX_DEPTH)}}, "value.layout is nested more than 16 levels deep"),
        ({"value": {**WIDE, "layout": nested(100_000)}}, "value.layout is nested more than 16 levels deep"),
        ({"value": {**WIDE, "layout": "x" * MAX_BYTES}}, "value.layout is too large.*65536 bytes at most"),
        ({"value": {**WIDE, "layout": "ü" * (MAX_BYTES // 2)}}, "Arm wide is too large.*65536 bytes at most"),
        ({"value": {**WIDE, "layout": "\x01" * (MAX_BYTES // 4)}}, "Arm wide is too large"),
    ],
)
def test_what_is_no_value_is_refused(arm, words):
    with pytest.raises(Rejected, match=words) as refused:
        parse_spec({**LAYOUT, "arms": {**LAYOUT["arms"], "wide": arm}})
    assert len(str(refused.value)) < 2000


def test_a_file_that_names_one_list_again_and_again_is_refused_at_once():
    bomb = ["x" * 1000]
    for _ in range(MAX_DEPTH - 3):
        bomb = [bomb] * 1000
    cycle = [1]
    cycle.append(cycle)
    for hostile in (bomb, cycle, [[] for _ in range(MAX_BYTES)]):
        with pytest.raises(Rejected, match=r"too large|nested more than"):
            arms_of(narrow={"layout": hostile})


def test_the_largest_value_is_read():
    text = "x" * (MAX_BYTES - len('{"layout":""}'))
    assert len(arms_of(narrow={"layout": text}, wide={"layout": ""})["narrow"].value) == MAX_BYTES
    most = {arm: {"layout": text} for arm in ("narrow", "wide", "c", "d")}
    assert len(arms_of(**most)) == MAX_ROUTE_BYTES // MAX_BYTES
    with pytest.raises(Rejected, match="The values of a route may have 262144 bytes of JSON together at most"):
        arms_of(**most, one={"layout": ""})
    assert arms_of(narrow={"layout": nested(MAX_DEPTH - 1)}, wide={"layout": {}})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"placement": "process"}, "placement is about models, and no arm of this route has one"),
        ({"batch_wait": "2ms"}, "batch_wait is about models"),
        ({"shadow": [{"arm": "fraud:1"}]}, "shadow is about models"),
        ({"check": {"logged": 5}}, "check is about models"),
        ({"require_tags": {"approved": "yes"}}, "require_tags is about models"),
    ],
)
def test_what_only_models_can_do_is_refused_without_any(change, words):
    with pytest.raises(Rejected, match=words):
        parse_spec({**LAYOUT, **change})


def test_beside_models_it_is_refused_of_the_arm_without_one():
    spec = parse_spec({**MIXED, "placement": "process", "batch_wait": "2ms", "shadow": [{"arm": "fraud:2"}]})
    assert spec.fallbacks == {"model": "safe"}
    with pytest.raises(Rejected, match="shadow names arm safe, which has no model"):
        parse_spec({**MIXED, "shadow": [{"arm": "safe"}]})
    with pytest.raises(Rejected, match="watches disagreement, which compares models, but arm safe has none"):
        parse_spec({**MIXED, "guardrails": [{"disagreement": {"above": "1%"}}]})
    assert parse_spec({**MIXED, "guardrails": [{"errors": {"worse_by": "1%"}}]}).guardrails


def test_a_value_may_be_rolled_out_but_not_by_an_alias():
    rollout = {"of": "wide", "steps": ["5%", "50%"], "every": "10m"}
    declared = {**LAYOUT, "split": None, "rollout": rollout}
    assert parse_spec(declared).rollout.base == {"narrow": Fraction(1)}
    with pytest.raises(Rejected, match="arm wide must be bound to model@alias, not to value:"):
        parse_spec({**declared, "rollout": {**rollout, "starts": "by_alias"}})
