"""Targeting conditions: what is accepted, and with which sentence the rest is rejected."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import Rejected
from router.spec.condition import Attribute, attributes_of, check_condition, ordered_by_number, parse_attribute


@pytest.mark.parametrize(
    "condition",
    [
        {},
        {"headers.x-country": "nl", "parameters.tier": "gold", "unit": {"$exists": True}},
        {"headers.x-country": {"$in": ["nl", "be"], "$nin": [], "$ini": ["NL"], "$nini": ["DE"]}},
        {"headers.x-age": {"$gt": 17, "$gte": 18, "$lt": 99.5, "$lte": "z"}},
        {"headers.x-app": {"$veq": "1", "$vne": "2", "$vgt": "0.9", "$vgte": "1.0", "$vlt": "2.0", "$vlte": "1.9"}},
        {"headers.user-agent": {"$regex": "Mobile", "$regexi": "mobile", "$notRegex": "^x", "$notRegexi": "bot"}},
        {"parameters.n": {"$eq": 1, "$ne": None}, "parameters.b": True, "parameters.a.b": 0.5},
        {"parameters.n": {"$not": {"$in": [1, 2]}}, "parameters.m": {"$type": "number"}},
        {"inputs.X": {"$gte": 0.5}, "inputs.X.3": 7, "inputs.x.1.0": None},
        {"$and": [{"unit": "a"}, {"$or": [{"unit": "b"}, {"$nor": [{"unit": "c"}]}]}], "$not": {"unit": "d"}},
        {"$or": []},
    ],
)
def test_the_language(condition):
    check_condition(condition)


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        ("nl", "target must be a mapping of attributes, .* not 'nl'"),
        ([{"unit": "a"}], r"target must be a mapping of attributes, .* not \[\{'unit': 'a'\}\]"),
        ({1: "a"}, "target has the key 1; the keys are attributes"),
        ({"country": "nl"}, r"target asks for 'country', which no request has; there are headers\.<name>"),
        ({"unit.x": "nl"}, "target asks for 'unit.x', which no request has"),
        ({"headers.x y": "nl"}, "target asks for 'headers.x y', which no request has"),
        ({"headers.X-Country": "nl"}, "write a header's name in lower case: headers.x-country"),
        ({"headers": {"country": "nl"}}, r"asks for headers as a whole; write which one behind a dot"),
        (
            {"headers.country": {"name": "nl"}},
            "headers.country holds 'name'; .* path to an attribute in one, with dots",
        ),
        ({"parameters.": 1}, "'parameters.', which no request has"),
        ({"headers.country": {"$inn": ["nl"]}}, r"target.headers.country.\$inn is not an operator; there are \$eq"),
        ({"headers.country": {}}, "target.headers.country asks for nothing"),
        ({"headers.country": {"$in": ["nl"], "x": 1}}, "target.headers.country holds 'x'"),
        ({"headers.country": {1: "nl"}}, "target.headers.country holds 1"),
        ({"headers.country": {"$in": "nl"}}, r"target.headers.country.\$in must be a list, not 'nl'"),
        ({"headers.country": ["nl"]}, r"compares with a list .* use \$in"),
        ({"parameters.x": {"$eq": {"a": 1}}}, r"target.parameters.x.\$eq compares with a list or a mapping"),
        ({"headers.age": 18}, r"target.headers.age compares text with 18, which it never equals; put it in quotes"),
        ({"headers.age": {"$in": ["17", 18]}}, r"target.headers.age.\$in compares text with 18"),
        ({"unit": {"$not": {"$ne": True}}}, r"target.unit.\$not.\$ne compares text with True"),
        ({"parameters.n": {"$gt": None}}, r"\$gt must be a number or a text, not None"),
        ({"parameters.n": {"$lte": True}}, r"\$lte must be a number or a text, not True"),
        ({"headers.app": {"$vgt": 1.1}}, r"target.headers.app.\$vgt must be a version in quotes"),
        ({"headers.app": {"$regex": "(a+)+"}}, r"target.headers.app.\$regex can match a value in so many ways"),
        ({"headers.app": {"$notRegexi": "["}}, r"target.headers.app.\$notRegexi is no regular expression"),
        ({"unit": {"$exists": "yes"}}, r"target.unit.\$exists must be true or false, not 'yes'"),
        ({"unit": {"$type": "array"}}, r"target.unit.\$type must be one of string, number, boolean, null"),
        ({"unit": {"$type": ["string"]}}, r"target.unit.\$type must be one of"),
        ({"unit": {"$inGroup": "vip"}}, r"target.unit.\$inGroup asks for a saved group"),
        ({"$savedGroup": {"id": "vip"}}, r"target.\$savedGroup asks for a saved group"),
        ({"parameters.x": {"$elemMatch": {"$gt": 1}}}, r"target.parameters.x.\$elemMatch asks for a list"),
        ({"parameters.x": {"$size": 1}}, r"target.parameters.x.\$size asks for a list"),
        ({"$xor": [{"unit": "a"}]}, r"target.\$xor does not join conditions"),
        ({"$or": {"unit": "a"}}, r"target.\$or must be a list, not"),
        ({"$and": [{"unit": "a"}, {"$or": [{"unit": 1}]}]}, r"target.\$and\[1\].\$or\[0\].unit compares text with 1"),
        ({"$not": [{"unit": "a"}]}, r"target.\$not must be a mapping"),
        ({"parameters.x": float("nan")}, "not finite"),
        ({"parameters.x": {"$lt": float("inf")}}, "not finite"),
        ({"parameters.x": 10**6000}, "of more than 64 bits"),
        ({"parameters.x": datetime.date(2026, 1, 1)}, "target holds a date; values are texts, numbers"),
        ({("a", "b"): 1}, "target holds a tuple"),
        ({"parameters.x": "\ud83d"}, "half a character"),
        ({"parameters.\ude00": 1}, "half a character"),
        ({"parameters.x": "a" * 1025}, "a text of 1025 characters"),
        ({"parameters." + "x" * 1025: 1}, "a text of 1036 characters"),
        ({"parameters.x": {"$in": list(range(256))}}, "more than 256 conditions and values"),
    ],
)
def test_what_is_not_of_the_language_is_refused_with_its_path(condition, sentence):
    with pytest.raises(Rejected, match=sentence):
        check_condition(condition)


def nested(levels: int) -> dict:
    """Return a condition of `levels` nested mappings."""
    condition: dict = {"unit": "a"}
    for _ in range(levels - 1):
        condition = {"$not": condition}
    return condition


def test_eight_levels_are_enough():
    check_condition(nested(8))
    with pytest.raises(Rejected, match="nested more than 8 deep"):
        check_condition(nested(9))


def test_a_condition_without_an_end_is_refused():
    """A file of YAML can hold such a condition, with an anchor."""
    condition: dict = {"unit": "a"}
    condition["$not"] = condition
    with pytest.raises(Rejected, match="nested more than 8 deep"):
        check_condition(condition)
    parts: list = []
    parts.append(parts)
    with pytest.raises(Rejected, match="more than 256"):
        check_condition({"$and": parts})


def refusal_of(raw: object) -> str | None:
    try:
        check_condition(raw)
    except Rejected as refusal:
        return str(refusal)
    return None


_keys = st.sampled_from(
    ["unit", "headers.a", "parameters.a", "inputs.X", "$and", "$not", "$in", "$gt", "$regex", "$type"]
)
_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=2)


@given(
    st.recursive(
        _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys | _scalars, inner, max_size=3)
    )
)
def test_anything_is_either_allowed_or_refused_in_a_sentence(raw):
    sentence = refusal_of(raw)
    assert sentence is None or (sentence.startswith("target") and sentence.endswith(".") and len(sentence) < 5_000)


def test_each_attribute_is_named_once_in_order():
    condition = {
        "headers.b": "1",
        "$or": [{"inputs.X.3": 1}, {"$and": [{"headers.b": "2"}]}],
        "$not": {"unit": "u"},
        "$nor": [{"headers.a": {"$not": {"$in": []}}}],
    }
    assert attributes_of(condition) == ("headers.b", "inputs.X.3", "unit", "headers.a")


def test_attributes_held_against_numbers_are_known():
    condition = {
        "headers.a": {"$exists": True, "$lt": 1},
        "headers.b": {"$not": {"$gte": 1}},
        "$or": [{"headers.c": {"$lt": "1"}}, {"headers.d": {"$in": ["1"]}}, {"headers.e": {"$lte": 0.5}}],
    }
    assert ordered_by_number(condition) == {"headers.a", "headers.b", "headers.e"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("unit", Attribute("unit", "")),
        ("headers.x-country", Attribute("headers", "x-country")),
        ("headers.a.b", Attribute("headers", "a.b")),
        ("parameters.user.id", Attribute("parameters", "user.id")),
        ("inputs.X", Attribute("inputs", "X", 0)),
        ("inputs.X.30", Attribute("inputs", "X", 30)),
        ("inputs.input.1", Attribute("inputs", "input", 1)),
        ("inputs.input.1.0", Attribute("inputs", "input.1", 0)),
        ("inputs.5", Attribute("inputs", "5", 0)),
        ("inputs.X.-1", Attribute("inputs", "X.-1", 0)),
        ("inputs.X.²", Attribute("inputs", "X.²", 0)),
    ],
)
def test_paths_of_attributes(path, expected):
    assert parse_attribute(path) == expected
