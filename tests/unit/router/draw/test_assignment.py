"""The hash: published values, the vectors that other languages share, and statistics with stated bounds."""

import json

import pytest

from router.compile import Pin, compile_route
from router.document.apply import apply
from router.document.commands import Declare
from router.draw.assignment import BUCKETS, bucket, fnv32a, seed_state
from router.plan import plan
from router.spec.parse import parse_spec
from tests.support.paths import GROWTHBOOK_CASES as GROWTHBOOK
from tests.support.paths import ROOT

VECTORS = ROOT / "tests" / "vectors" / "assignment.json"


def share(seed: str, unit: str) -> float:
    return bucket(seed_state(seed), unit) / BUCKETS


@pytest.mark.parametrize(
    ("seed", "unit", "expected"),
    [
        ("seed", "a", 0.0505),
        ("seed", "b", 0.2696),
        ("foo", "ab", 0.2575),
        ("foo", "def", 0.2019),
        ("seed", "é", 0.8663),  # one UTF-16 unit that is also Latin-1
        ("seed", "用户1", 0.4469),
        ("seed", "😀", 0.4346),  # two UTF-16 units, a surrogate pair
    ],
)
def test_published_values(seed, unit, expected):
    assert share(seed, unit) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", 0x811C9DC5), ("a", 0xE40C292C), ("foobar", 0xBF9CF968)],  # draft-eastlake-fnv, appendix C
)
def test_fnv_values_of_its_authors(text, expected):
    assert fnv32a(text) == expected


def test_growthbook_puts_units_into_the_same_buckets():
    if not GROWTHBOOK.exists():
        pytest.skip("growthbook-cases.json is not at ../shared/data beside this repository")
    rows = [row for row in json.loads(GROWTHBOOK.read_text())["hash"] if row[2] == 2]
    assert len(rows) >= 7
    assert [share(seed, unit) for seed, unit, _, _ in rows] == [expected for *_, expected in rows]


def test_seed_and_unit_are_hashed_as_one_string():
    # This holds for the two halves of a surrogate pair, which JavaScript joins to one emoji.
    assert bucket(seed_state("ab"), "c") == bucket(seed_state("a"), "bc")
    assert bucket(seed_state("seed\ud83d"), "\ude00") == bucket(seed_state("seed"), "😀")


def test_shared_vectors():
    vectors = json.loads(VECTORS.read_text())["vectors"]
    assert len(vectors) >= 20
    for vector in vectors:
        arms = [arm for arm, _ in vector["weights"]]
        spec = parse_spec(
            {
                "route": "r",
                "seed": vector["seed"],
                "arms": dict.fromkeys(arms, "m:1"),
                "split": dict(vector["weights"]),
            }
        )
        route = compile_route(apply(None, Declare(spec)), {arm: Pin("1", "d") for arm in arms})
        drawn = plan(route, "a-decision", unit=vector["unit"])
        got = (bucket(route.seed_state, vector["unit"]), route.arms[drawn.primary].name, drawn.propensity)
        assert got == (vector["bucket"], vector["arm"], vector["propensity"]), vector


@pytest.mark.parametrize("kind", ["user-{}", "用户{}"])
def test_buckets_are_uniform(kind):
    state = seed_state("uniformity")
    counts = [0] * BUCKETS
    for number in range(100_000):
        counts[bucket(state, kind.format(number))] += 1
    # 10 keys are expected per bucket. Chi-squared with 9,999 degrees of freedom has mean 9,999 and standard deviation
    # sqrt(2 * 9,999) = 141.4. Five of them give 9,292 to 10,706. The lower bound would catch a mere counter.
    chi_squared = sum((count - 10) ** 2 / 10 for count in counts)
    assert 9_292 < chi_squared < 10_706


def test_seeds_draw_independently_of_each_other():
    one, other = seed_state("route-one"), seed_state("route-other")
    table = [[0] * 10 for _ in range(10)]
    for number in range(50_000):
        unit = f"user-{number}"
        table[bucket(one, unit) // 1000][bucket(other, unit) // 1000] += 1
    # 500 are expected per cell. 99 degrees of freedom: mean 99, standard deviation sqrt(198) = 14.1. The bound is five.
    assert sum((count - 500) ** 2 / 500 for row in table for count in row) < 99 + 5 * 14.1
