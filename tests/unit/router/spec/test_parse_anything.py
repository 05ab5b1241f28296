"""Any declaration is either read or rejected with a sentence of limited length."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from router.errors import Rejected
from router.spec.parse import parse_spec
from router.spec.spec import RouteSpec
from router.spec.unparse import unparse_spec
from tests.support.route_specs import specs
from tests.unit.router.support import ROLLOUT, SPLIT

TOP = [
    "route", "arms", "split", "rollout", "unit", "fallback", "deadline", "batch_wait", "placement", "guardrails",
    "alpha", "shadow", "limits", "target", "layer", "holdout", "seed", "metrics",
]  # fmt: skip
INNER = [
    "of", "from", "steps", "every", "samples", "weight", "approve", "arm", "sample", "against", "tolerance", "floor",
    "ceiling", "name", "range", "share", "errors", "worse_by", "slower_than", "missing_outputs", "disagreement",
    "above", "a", "b", "stable", "canary", "window", "default", "aggregate", "formula", "label",
]  # fmt: skip
KEYS = [*TOP, *INNER]
TEXTS = [*KEYS, "m:1", "m@x", "5%", "100%", "0%", "10m", "1us", "header:x", "9" * 5000]

keys = st.sampled_from(KEYS) | st.text(max_size=3)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 101),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from([*TEXTS, 10**400, -(10**400)]),
)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)


def read(raw: object) -> RouteSpec | None:
    words = ""
    try:
        return parse_spec(raw)
    except Rejected as refused:
        words = str(refused)
    assert len(words) < 2000
    assert words.endswith(".")
    return None


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(TOP, anything)) | anything)
@settings(max_examples=300)
def test_anything_is_read_or_rejected(raw):
    read(raw)


@given(st.sampled_from([SPLIT, ROLLOUT]), st.dictionaries(st.sampled_from(TOP[2:]), anything, max_size=3))
@settings(max_examples=300)
@example(ROLLOUT, {"alpha": "1e-99"})
def test_a_declaration_with_anything_in_it_is_read_or_rejected(declared, change):
    spec = read({**declared, **change})
    if spec is not None:  # an accepted declaration can be stored
        assert parse_spec(json.loads(json.dumps(unparse_spec(spec)))) == spec


def _places(raw: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = raw.items() if isinstance(raw, dict) else enumerate(raw) if isinstance(raw, list) else ()
    return [path, *(place for key, value in inner for place in _places(value, (*path, key)))]


def _put(raw: Any, path: tuple[Any, ...], value: object) -> Any:
    if not path:
        return value
    changed = dict(raw) if isinstance(raw, dict) else list(raw)
    changed[path[0]] = _put(raw[path[0]], path[1:], value)
    return changed


@given(specs().map(unparse_spec), st.data())
@settings(max_examples=200)
def test_a_damaged_declaration_is_read_or_rejected(raw, data):
    path = data.draw(st.sampled_from(_places(raw)))
    read(_put(raw, path, data.draw(anything)))


@pytest.mark.parametrize("declared", [SPLIT, ROLLOUT])
def test_the_examples_are_read(declared):
    assert read(declared) is not None


HUGE = 10**5000
"""Python and test reports refuse to print this number. A file of YAML can hold it in hexadecimal."""


@pytest.mark.parametrize(
    "key",
    ["route", "arms", "split", "unit", "fallback", "deadline", "alpha", "shadow", "guardrails", "limits", "target"],
)
def test_numbers_that_cannot_be_printed_are_rejected(key):
    for value in (HUGE, [HUGE], [{"arm": HUGE}], [{"errors": {"worse_by": HUGE}}], {"stable": HUGE}, {HUGE: 1}):
        assert read({**SPLIT, key: value}) is None


@pytest.mark.parametrize("key", ["of", "from", "steps", "every", "samples"])
def test_nor_in_a_rollout(key):
    for value in (HUGE, [HUGE], [{"weight": HUGE}], [{"weight": 0.5, "samples": HUGE}], {"stable": HUGE}, {HUGE: 1}):
        assert read({**ROLLOUT, "rollout": {**ROLLOUT["rollout"], key: value}}) is None
