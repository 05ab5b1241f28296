"""Fallbacks, and the arm that is trusted."""

import pytest

from router.errors import Rejected
from router.spec.parse import parse_spec
from tests.unit.router.support import ROLLOUT

ARMS = {"a": "m:1", "b": "m:2", "c": "m:3"}
SPLIT = {"route": "r", "arms": ARMS, "split": {"a": 1}}
OF_C = {"of": "c", "steps": ["5%"], "every": "1m"}


@pytest.mark.parametrize(
    ("declared", "fallbacks", "trusted"),
    [
        (SPLIT, None, None),
        ({**SPLIT, "fallback": "a"}, {"b": "a", "c": "a"}, "a"),
        ({**SPLIT, "fallback": {"c": "b", "b": "a"}}, {"c": "b", "b": "a"}, None),
        ({"route": "r", "arms": {"a": "m:1"}, "split": {"a": 1}, "fallback": "a"}, {}, "a"),
        (ROLLOUT, None, "stable"),  # the rollout starts from it
        ({**ROLLOUT, "fallback": "stable"}, {"canary": "stable"}, "stable"),
        ({"route": "r", "arms": ARMS, "rollout": {**OF_C, "from": {"a": 0.5, "b": 0.5}}}, None, None),
        ({"route": "r", "arms": ARMS, "rollout": {**OF_C, "from": "b"}, "fallback": "a"}, {"b": "a", "c": "a"}, "a"),
        ({"route": "r", "arms": ARMS, "rollout": {**OF_C, "from": "b"}, "fallback": {"c": "a"}}, {"c": "a"}, "b"),
    ],
)
def test_fallbacks_and_the_arm_that_is_trusted(declared, fallbacks, trusted):
    spec = parse_spec(declared)
    assert (spec.fallbacks, spec.trusted_arm) == (fallbacks, trusted)


@pytest.mark.parametrize(
    ("fallback", "words"),
    [
        ("z", r"fallback names 'z', which is not among the arms \(a, b, c\)"),
        ({"a": "z"}, "fallback names 'z'"),
        ({"z": "a"}, "fallback names 'z'"),
        ({"a": None}, "fallback names None"),
        ({"a": ["b"]}, r"fallback names \['b'\]"),
        ({1: "a"}, "fallback names 1"),
        ({}, "fallback must be an arm, or say for each arm"),
        (["a"], "fallback must be an arm, or say for each arm"),
        (True, "fallback must be an arm, or say for each arm"),
        ({"a": "a"}, "fallback goes in a circle: a -> a"),
        ({"a": "b", "b": "a"}, "fallback goes in a circle: a -> b -> a"),
        ({"a": "b", "b": "c", "c": "b"}, "fallback goes in a circle: a -> b -> c -> b"),
    ],
)
def test_a_fallback_that_leads_nowhere_is_refused(fallback, words):
    with pytest.raises(Rejected, match=words):
        parse_spec({**SPLIT, "fallback": fallback})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("guardrails", [{"errors": {"worse_by": "1%"}}]),
        ("target", {"headers.x": "y"}),
        ("layer", {"name": "l", "range": [0, 0.5]}),
        ("holdout", "5%"),
    ],
)
def test_what_needs_a_trusted_arm_is_refused_without_one(key, value):
    with pytest.raises(Rejected, match=f"{key} needs an arm that is trusted: say `fallback: ARM`\\.$"):
        parse_spec({**SPLIT, "fallback": {"c": "b"}, key: value})
    rollout = {"route": "r", "arms": ARMS, "rollout": {**OF_C, "from": {"a": 0.5, "b": 0.5}}}
    with pytest.raises(Rejected, match=rf"{key} needs .* `fallback: ARM` \(or rollout.from: ARM\)\.$"):
        parse_spec({**rollout, key: value})
    assert parse_spec({**rollout, "fallback": "a", key: value}).trusted_arm == "a"


def test_what_is_rolled_out_is_not_trusted_yet():
    with pytest.raises(Rejected, match="fallback names canary, which is rolled out; the arm that is trusted is anoth"):
        parse_spec({**ROLLOUT, "fallback": "canary"})
