"""GrowthBook's public vectors of conditions: through their library, and through everything that we put around it.

A request has no attributes of any name, and none inside others. So a vector's attributes become parameters, each under
its whole path, and the paths in its condition get `parameters.` in front. Lists and objects, which no parameter is, are
handed over as they are: what we do around the library must not change what it says of them.
"""

import json
from typing import Any

import pytest
from growthbook.core import evalCondition

from gateway.inference.targeting import Targeting
from router.errors import Rejected
from router.spec.condition import JOINS, attributes_of, check_condition
from tests.support.paths import GROWTHBOOK_CASES as CASES

ROWS: list[list[Any]] = json.loads(CASES.read_text())["evalCondition"] if CASES.exists() else []
"""Name, condition, attributes, whether it holds, and saved groups, if any."""
OURS = [row for row in ROWS if len(row) == 4]
GROUPS = [row for row in ROWS if len(row) > 4]


def test_the_vectors_are_here():
    if not CASES.exists():
        pytest.skip("growthbook-cases.json is not at ../shared/data beside this repository")
    assert len(OURS) >= 240
    assert len(GROUPS) >= 8


def of_parameters(condition: dict[str, Any]) -> dict[str, Any]:
    """Return the condition with its attributes asked of the parameters."""
    moved: dict[str, Any] = {}
    for key, value in condition.items():
        if key in JOINS:
            moved[key] = [of_parameters(part) for part in value]
        elif key == "$not":
            moved[key] = of_parameters(value)
        else:
            moved[f"parameters.{key}"] = value
    return moved


def dig(attributes: Any, path: str) -> Any:
    for name in path.split("."):
        attributes = attributes.get(name) if isinstance(attributes, dict) else None
    return attributes


def named(rows: list[list[Any]]) -> list[Any]:
    return [pytest.param(*row[1:], id=row[0]) for row in rows]


@pytest.mark.parametrize(("condition", "attributes", "expected"), named(OURS))
def test_a_vector_through_the_library(condition, attributes, expected):
    assert evalCondition(attributes, condition) is expected


@pytest.mark.parametrize(("condition", "attributes", "expected", "groups"), named(GROUPS))
def test_a_vector_of_saved_groups_through_the_library_is_refused_by_us(condition, attributes, expected, groups):
    assert evalCondition(attributes, condition, groups) is expected
    with pytest.raises(Rejected, match="saved group"):
        check_condition(of_parameters(condition))


@pytest.mark.parametrize(("condition", "attributes", "expected"), named(OURS))
def test_a_vector_through_a_target(condition, attributes, expected):
    condition = of_parameters(condition)
    paths = [path.removeprefix("parameters.") for path in attributes_of(condition)]
    parameters = {path: dig(attributes, path) for path in paths}
    assert Targeting(condition).matches({}, parameters, {}, None) is expected


@pytest.mark.parametrize(("condition", "attributes", "_expected"), named(OURS))
def test_what_is_refused_of_a_vector_is_a_list_an_object_or_a_mistake(condition, attributes, _expected):
    text = json.dumps(condition)
    mistakes = ("$regx", "???***", '": {"$in": 1}', '": {"$nin": 1}', '": {"$ini": 1}', '": {"$nini": 1}')
    lists = ("$elemMatch", "$size", "$all", '"$type": "array"', '"$type": "object"', '"tags": [', '"tags": {"hello"')
    if any(part in text for part in (*mistakes, *lists)):
        with pytest.raises(Rejected):
            check_condition(of_parameters(condition))
    else:
        check_condition(of_parameters(condition))
