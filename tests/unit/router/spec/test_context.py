"""The context of a bandit: read, refused with a sentence, and written as it is read."""

import pytest

from router.errors import Rejected
from router.spec.context import ContextColumn, parse_context, unparse_context
from router.spec.parse import parse_spec
from router.spec.unparse import unparse_spec

CONTEXT = {
    "headers.x-device": ["phone", "desktop"],
    "parameters.age": {"from": 18.0, "to": 99.0, "missing": 40.0},
    "inputs.x.3": {"from": -1.0, "to": 1.0},
}


def test_columns_are_read_in_order_and_written_as_they_are_read():
    columns = parse_context(CONTEXT, "bandit.context")
    assert columns == (
        ContextColumn("headers.x-device", words=("phone", "desktop")),
        ContextColumn("parameters.age", low=18, high=99, fill=40),
        ContextColumn("inputs.x.3", low=-1, high=1),
    )
    assert columns[2].attribute == ("inputs", "x", 3)
    assert list(unparse_context(columns).items()) == list(CONTEXT.items())
    assert parse_context(None, "bandit.context") == ()


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ([], "must say which attributes"),
        ({}, "must say which attributes"),
        ({3: ["a"]}, "names 3"),
        ({"cookies.x": ["a"]}, "which no request has"),
        ({"headers.X-Device": ["a"]}, "in lower case"),
        ({"unit": "a"}, "the words of a category"),
        ({"unit": []}, "1 to 64 words, not 0"),
        ({"unit": ["a"] * 65}, "1 to 64 words, not 65"),
        ({"unit": ["a", "a"]}, "a word twice"),
        ({"unit": [1]}, "in quotes if it looks like a number"),
        ({"unit": [""]}, "a word is text"),
        ({"unit": ["a" * 129]}, "a word is text"),
        ({"unit": {"from": 0}}, "unit.to must be a number"),
        ({"unit": {"from": 1, "to": 1}}, "must be below"),
        ({"unit": {"from": True, "to": 2}}, "must be a number"),
        ({"unit": {"from": 0, "to": float("inf")}}, "must be a number"),
        ({"unit": {"from": -1.7e308, "to": 1.7e308}}, "must be below"),
        ({"unit": {"from": 0, "to": 1, "missing": 2}}, "must lie in the range from 0 to 1"),
        ({"unit": {"from": 0, "to": 1, "fill": 2}}, "fill"),
    ],
)
def test_what_is_no_context_is_refused(raw, words):
    with pytest.raises(Rejected, match=words):
        parse_context(raw, "bandit.context")


def route(**more):
    bandit = {"policy": "linucb", "reward": "click", "context": CONTEXT, **more}
    arms = {"a": "m:1", "b": "m:2"}
    return {"route": "shop", "arms": arms, "metrics": {"click": {"window": "10m"}}, "bandit": bandit}


def test_a_route_with_a_context_is_written_as_it_is_read():
    spec = parse_spec(route())
    assert spec.maximised == "click"
    assert parse_spec(unparse_spec(spec)) == spec
    assert parse_spec(route(context=None)).maximised == ""


@pytest.mark.parametrize(("key", "value"), [("stop", {"within": "1%"}), ("max_change", "5%")])
def test_what_needs_weights_that_all_requests_share_is_refused(key, value):
    with pytest.raises(Rejected, match=f"context and {key}"):
        parse_spec(route(**{key: value}))
