"""What assignment promises for units: which move, which stay, and which draws are independent.

`test_slots.py` tests the slot table by itself. Here, weights are arbitrary shares and units are hashed. A statistical
test has fixed keys and states its error, so a failure is a finding and not bad luck.
"""

from collections import Counter
from fractions import Fraction
from itertools import combinations, pairwise
from math import sqrt
from operator import mul

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency

from router.compile import Pin, compile_route
from router.document.apply import apply
from router.document.commands import Declare
from router.draw.assignment import BUCKETS, PLACES, bucket, seed_state
from router.draw.layers import Holdout, Layer, is_held_out, is_in_layer
from router.draw.slots import allocate, owners, quantise, reallocate
from router.plan import plan
from router.spec.parse import parse_spec

ARMS = ("a", "b", "c", "d", "e", "f")
INDEX = {arm: position for position, arm in enumerate(ARMS)}
UNITS = [f"user-{number}" for number in range(20_000)]
SIGMAS = 5  # a normal variable is further off once in 1.7 million
ALPHA = 0.001  # the level of each test of independence; the keys are fixed, so the result is always the same

parts = st.lists(st.integers(0, 10**9), min_size=2, max_size=len(ARMS)).filter(any)
"""Weights before they are divided by their sum."""


def weights_of(numbers: list[int]) -> dict[str, Fraction]:
    return {arm: Fraction(number, sum(numbers)) for arm, number in zip(ARMS, numbers, strict=False)}


def distance(one: dict[str, Fraction], other: dict[str, Fraction]) -> Fraction:
    """Return the total variation distance: half the sum of the differences of each arm's weights."""
    return sum((abs(one.get(arm, Fraction(0)) - other.get(arm, Fraction(0))) for arm in ARMS), Fraction(0)) / 2


def shares(slots: dict[str, int]) -> dict[str, Fraction]:
    return {arm: Fraction(count, BUCKETS) for arm, count in slots.items()}


def arms_of(table, seed: str, units: list[str]) -> list[str]:
    """Return the arm of each unit."""
    layout, state = owners(table, INDEX), seed_state(seed)
    return [ARMS[layout[bucket(state, unit)]] for unit in units]


@given(st.lists(parts, min_size=2, max_size=4))
@settings(max_examples=60)
def test_the_share_that_moves_is_the_distance_of_any_weights(history):
    wanted = [weights_of(numbers) for numbers in history]
    slots = [quantise(weights) for weights in wanted]
    table = allocate(slots[0])
    for step in range(1, len(history)):
        before, table = owners(table, INDEX), reallocate(table, slots[step])
        moved = Fraction(sum(was != now for was, now in zip(before, owners(table, INDEX), strict=True)), BUCKETS)
        assert moved == distance(shares(slots[step - 1]), shares(slots[step]))
        # The declared weight of each arm differs from the realised one by less than a slot, before and after.
        assert abs(moved - distance(wanted[step - 1], wanted[step])) < Fraction(len(ARMS), BUCKETS)


@given(parts, parts)
@settings(max_examples=60)
def test_a_propensity_is_the_share_of_the_slots_exactly(first, then):
    slots = quantise(weights_of(then))
    layout = owners(reallocate(allocate(quantise(weights_of(first))), slots), INDEX)
    for arm, weight in weights_of(then).items():
        assert layout.count(INDEX[arm]) == slots[arm]
        assert abs(Fraction(slots[arm], BUCKETS) - weight) < Fraction(1, BUCKETS)


@given(parts)
@settings(max_examples=25)
def test_a_plan_has_the_propensity_of_the_arm_that_it_draws(numbers):
    """The propensity that is logged is the arm's share of the table from which the arm is drawn."""
    assume(all(weight * BUCKETS >= 1 for weight in weights_of(numbers).values() if weight))
    arms = ARMS[: len(numbers)]
    split = {arm: str(float(weight)) for arm, weight in weights_of(numbers).items()}
    spec = parse_spec({"route": "r", "arms": dict.fromkeys(arms, "m:1"), "split": split})
    route = compile_route(apply(None, Declare(spec)), dict.fromkeys(arms, Pin("1", "d")))
    for unit in UNITS[:50]:
        drawn = plan(route, "a-decision", unit=unit)
        assert drawn.propensity == route.table.count(drawn.primary) / BUCKETS > 0


@given(st.lists(st.integers(0, BUCKETS), min_size=2, max_size=6), st.integers(1, 99))
@settings(max_examples=25)
def test_no_unit_leaves_an_arm_while_it_grows(shares_of_canary, skew):
    """The others share the rest anew at every step, which makes no difference."""
    units = UNITS[:2_000]
    table, inside = None, set[str]()
    for number, canary in enumerate(sorted(shares_of_canary)):
        rest = BUCKETS - canary
        other = rest * (skew if number % 2 else 100 - skew) // 100
        slots = {"a": other, "b": rest - other, "c": canary}
        table = allocate(slots) if table is None else reallocate(table, slots)
        now = {unit for unit, arm in zip(units, arms_of(table, "grow", units), strict=True) if arm == "c"}
        assert inside <= now
        inside = now


@pytest.mark.parametrize("others", [("stable",), ("stable", "second")], ids=["two arms", "three arms"])
def test_five_percent_and_ten_and_five_again_is_the_same_units(others):
    index = {arm: position for position, arm in enumerate((*others, "canary"))}
    state = seed_state("ramp")

    def canary_of(table) -> set[str]:
        layout = owners(table, index)
        return {unit for unit in UNITS if layout[bucket(state, unit)] == index["canary"]}

    def slots_at(percent: int) -> dict[str, int]:
        each = (100 - percent) * 100 // len(others)
        return {**dict.fromkeys(others, each), "canary": percent * 100}

    first = allocate(slots_at(5))
    wide = reallocate(first, slots_at(10))
    again = reallocate(wide, slots_at(5))
    assert canary_of(first) < canary_of(wide)
    assert canary_of(again) == canary_of(first)
    # 20,000 units at 5 %: 1,000 expected, standard deviation sqrt(20,000 * .05 * .95) = 30.8.
    assert abs(len(canary_of(first)) - 1_000) < SIGMAS * 30.8
    assert owners(again, index) == owners(first, index)


@given(parts, st.text(st.characters(codec="utf-8"), min_size=1, max_size=12))
@settings(max_examples=30, derandomize=True)
def test_realised_shares_are_the_slots_within_binomial_error(numbers, seed):
    slots = quantise(weights_of(numbers))
    units = UNITS[:4_000]
    got = Counter(arms_of(allocate(slots), seed, units))
    for arm, count in slots.items():
        share = count / BUCKETS
        # At least 2 units, for shares so small that the binomial is not nearly normal.
        bound = max(2, SIGMAS * sqrt(len(units) * share * (1 - share)))
        assert abs(got[arm] - len(units) * share) <= bound, (arm, share)


@given(
    st.lists(st.integers(0, PLACES), min_size=1, max_size=5, unique=True),
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.sampled_from(["checkout", "search", "l"]),
)
@settings(max_examples=200)
def test_disjoint_ranges_of_a_layer_never_share_a_key(cuts, key, name):
    limits = sorted({0, *cuts, PLACES})
    layers = [Layer(name, start / PLACES, end / PLACES) for start, end in pairwise(limits)]
    assert sum(is_in_layer(layer, key) for layer in layers) == 1  # together, they have every key


@pytest.mark.parametrize(("start", "end"), [(0.0, 0.5), (0.5, 1.0), (0.25, 0.3), (0.999, 1.0)])
@pytest.mark.parametrize("name", ["checkout", "search"])
def test_a_range_of_a_layer_has_its_share_of_the_units(name, start, end):
    inside = sum(is_in_layer(Layer(name, start, end), unit) for unit in UNITS)
    share = end - start
    assert abs(inside - len(UNITS) * share) < SIGMAS * sqrt(len(UNITS) * share * (1 - share))


def tenths(seed: str) -> list[int]:
    """Return for each unit in which tenth of a split's buckets it is."""
    state = seed_state(seed)
    return [bucket(state, unit) // 1_000 for unit in UNITS]


def halves(layer: str) -> list[int]:
    """Return 1 for each unit in the first half of the layer, else 0."""
    return [int(is_in_layer(Layer(layer, 0.0, 0.5), unit)) for unit in UNITS]


def held_out(seed: str) -> list[int]:
    """Return 1 for each unit in a holdout of 10 %, else 0."""
    holdout = Holdout(1_000, seed)
    return [int(is_held_out(holdout, unit)) for unit in UNITS]


def p_independent(one: list[int], other: list[int]) -> float:
    """Return the p-value of Pearson's chi-squared test on the table of both, without a correction."""
    counts = Counter(zip(one, other, strict=True))
    rows, columns = sorted(set(one)), sorted(set(other))
    return chi2_contingency([[counts[row, column] for column in columns] for row in rows], correction=False).pvalue


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param((tenths, "fraud"), (tenths, "ranker"), id="splits of two routes"),
        pytest.param((tenths, "fraud-1"), (tenths, "fraud-2"), id="seeds that differ in one character"),
        pytest.param((tenths, "fraud"), (halves, "fraud"), id="split and layer of one name"),
        pytest.param((tenths, "fraud"), (held_out, "fraud"), id="split and holdout of one seed"),
        pytest.param((halves, "fraud"), (held_out, "fraud"), id="layer and holdout"),
        pytest.param((held_out, "fraud"), (held_out, "q4-2026"), id="two holdouts"),
        pytest.param((halves, "checkout"), (halves, "search"), id="two layers"),
    ],
)
def test_what_is_drawn_under_different_seeds_is_independent(one, other):
    (draw_one, seed_one), (draw_other, seed_other) = one, other
    assert p_independent(draw_one(seed_one), draw_other(seed_other)) > ALPHA


def test_layers_of_like_names_are_not_independent_as_their_docstring_says():
    one, other = halves("layer-3"), halves("layer-7")
    both = sum(map(mul, one, other)) / len(UNITS)
    assert both < 0.05  # it would be a quarter if they were independent


def test_seeds_are_independent_pair_by_pair():
    """Of 105 pairs, 1 % should look dependent at the level of 1 %."""
    drawn = [[number // 2 for number in tenths(f"route-{number}")[:4_000]] for number in range(15)]
    alarms = sum(p_independent(one, other) < 0.01 for one, other in combinations(drawn, 2))
    # Binomial(105, .01): more than 6 with probability .0001.
    assert alarms <= 6


def test_dependence_would_be_noticed():
    one = tenths("fraud")
    leaning = [share if number % 10 else 0 for number, share in enumerate(one)]  # a tenth goes to one arm
    assert p_independent(one, leaning) < ALPHA
    assert p_independent([number % 2 for number in one], [number % 2 for number in one]) < ALPHA
