"""GrowthBook's public vectors of hashing and of namespaces, which are our layers. Some are copied into this file."""

import json
from typing import Any

import pytest

from router.draw.assignment import BUCKETS, PLACES, bucket, place, seed_state
from router.draw.layers import Layer, is_in_layer
from tests.support.paths import GROWTHBOOK_CASES as CASES


def hashed(seed: str, unit: str, version: int) -> float:
    return place(seed, unit) / PLACES if version == 1 else bucket(seed_state(seed), unit) / BUCKETS


@pytest.fixture(scope="module")
def cases() -> dict[str, list[Any]]:
    if not CASES.exists():
        pytest.skip("growthbook-cases.json is not at ../shared/data beside this repository")
    return json.loads(CASES.read_text())


def test_every_vector_of_the_hash(cases):
    rows = [row for row in cases["hash"] if row[2] in (1, 2)]  # for an unknown version the vector expects null
    assert len(rows) >= 14
    assert [hashed(*row[:3]) for row in rows] == [row[3] for row in rows]


def test_every_vector_of_a_namespace(cases):
    rows = cases["inNamespace"]
    assert len(rows) >= 16
    got = [is_in_layer(Layer(*namespace), unit) for _, unit, namespace, _ in rows]
    assert got == [expected for *_, expected in rows]


@pytest.mark.parametrize(
    ("seed", "unit", "version", "expected"),
    [
        ("", "a", 1, 0.22),
        ("b", "a", 1, 0.946),
        ("asdf", "8952klfjas09ujk", 1, 0.549),
        ("seed", "a", 2, 0.0505),
        ("foo", "def", 2, 0.2019),
        ("seed", "用户1", 2, 0.4469),
        ("seed", "😀", 2, 0.4346),
    ],
)
def test_published_values(seed, unit, version, expected):
    assert hashed(seed, unit, version) == expected


@pytest.mark.parametrize(("unit", "is_low"), [("1", False), ("2", False), ("3", True), ("4", True)])
def test_published_places_in_a_layer(unit, is_low):
    assert is_in_layer(Layer("namespace2", 0.0, 0.4), unit) is is_low
    assert is_in_layer(Layer("namespace2", 0.4, 1.0), unit) is not is_low
