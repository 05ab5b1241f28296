"""Slots keep to floors, ceilings and the largest change exactly, and keep the order of the weights."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandits.bounds.bounded import bounded
from bandits.bounds.bounds import Bounds, make_bounds
from bandits.bounds.floors import within_bounds
from bandits.errors import BanditError
from bandits.slots import SLOTS, to_shares, to_slots


def moved(after, before):
    return sum(max(0, new - old) for new, old in zip(after, before, strict=True))


def apportioned(parts):
    """Return the parts as whole slots that sum to 10,000."""
    total = sum(parts)
    slots = [part * SLOTS // total for part in parts]
    slots[0] += SLOTS - sum(slots)
    return tuple(slots)


def weight_lists(count):
    part = st.one_of(st.just(0.0), st.floats(1e-12, 1.0), st.integers(1, 3).map(float))
    parts = st.lists(part, min_size=count, max_size=count).filter(lambda parts: sum(parts) > 0)
    return parts.map(lambda parts: tuple(part / math.fsum(parts) for part in parts))


def slot_lists(count):
    parts = st.lists(st.integers(0, 1000), min_size=count, max_size=count)
    return parts.filter(any).map(apportioned)


@st.composite
def cases(draw):
    """Return weights, bounds that some weights keep to, and the slots in use, which may break them."""
    count = draw(st.integers(1, 7))
    possible = draw(slot_lists(count))
    below = draw(st.lists(st.one_of(st.just(0), st.integers(0, SLOTS)), min_size=count, max_size=count))
    above = draw(st.lists(st.one_of(st.just(SLOTS), st.integers(0, SLOTS)), min_size=count, max_size=count))
    bounds = Bounds(
        tuple(max(0, slots - each) for slots, each in zip(possible, below, strict=True)),
        tuple(min(SLOTS, slots + each) for slots, each in zip(possible, above, strict=True)),
        draw(st.one_of(st.just(SLOTS), st.integers(1, SLOTS))),
    )
    return draw(weight_lists(count)), bounds, draw(slot_lists(count))


@given(cases())
def test_slots_keep_to_the_bounds_and_sum_to_ten_thousand(case):
    weights, bounds, before = case
    for slots in (bounded(weights, bounds), bounded(weights, bounds, before)):
        assert sum(slots) == SLOTS
        assert all(isinstance(each, int) for each in slots)
        assert all(low <= each <= high for low, each, high in zip(bounds.floors, slots, bounds.ceilings, strict=True))


@given(cases())
def test_arms_with_equal_bounds_keep_the_order_of_their_weights(case):
    weights, bounds, _ = case
    slots = bounded(weights, bounds)
    arms = list(zip(bounds.floors, bounds.ceilings, weights, slots, strict=True))
    for floor, ceiling, weight, own in arms:
        for other_floor, other_ceiling, other_weight, other in arms:
            if (floor, ceiling) == (other_floor, other_ceiling) and weight > other_weight + 1e-12:
                assert own >= other


@given(cases())
def test_no_more_slots_change_hands_than_the_limit_or_what_the_bounds_force(case):
    weights, bounds, before = case
    forced = bounded(weights, bounds._replace(largest_change=0), before)
    least = max(
        sum(max(0, low - each) for low, each in zip(bounds.floors, before, strict=True)),
        sum(max(0, each - high) for each, high in zip(before, bounds.ceilings, strict=True)),
    )
    assert moved(forced, before) == least
    assert moved(bounded(weights, bounds, before), before) <= max(bounds.largest_change, least)


@given(cases())
def test_updates_reach_their_target_and_stay(case):
    weights, bounds, before = case
    target = bounded(weights, bounds)
    start = bounded(weights, bounds._replace(largest_change=0), before)
    needed = -(-moved(target, start) // bounds.largest_change)
    slots = start
    for _ in range(min(needed, 50)):
        slots = bounded(weights, bounds, slots)
    if needed <= 50:
        assert slots == target
    assert bounded(weights, bounds, target) == target


@given(st.integers(1, 8).flatmap(weight_lists), st.integers(0, 1250))
def test_one_floor_for_all_is_mixed_in_exactly(weights, floor):
    count = len(weights)
    shares = within_bounds(weights, (floor / SLOTS,) * count, (1.0,) * count)
    expected = [floor / SLOTS + (1 - count * floor / SLOTS) * weight for weight in weights]
    assert shares == pytest.approx(expected, abs=1e-12)


@given(cases())
def test_an_arm_without_room_changes_no_bit_of_the_others(case):
    weights, bounds, _ = case
    shares = within_bounds(weights, to_shares(bounds.floors), to_shares(bounds.ceilings))
    with_one_more = within_bounds((*weights, 0.0), (*to_shares(bounds.floors), 0.0), (*to_shares(bounds.ceilings), 0.0))
    assert with_one_more == (*shares, 0.0)


def test_a_floor_is_not_clamped_and_scaled_below_itself():
    # To lift the two poor arms to 2 % and divide by 1.0199 would leave them at 1.96 %.
    bounds = make_bounds([Fraction(1, 50)] * 3, [Fraction(1)] * 3)
    assert bounded((0.9999, 0.0001, 0.0), bounds) == (9599, 201, 200)


def test_what_a_ceiling_cuts_goes_to_the_others_in_proportion():
    bounds = make_bounds([Fraction(0)] * 3, [Fraction(1, 10), Fraction(1), Fraction(1)])
    assert bounded((0.7, 0.2, 0.1), bounds) == (1000, 6000, 3000)
    all_capped = make_bounds([Fraction(0)] * 3, [Fraction(1, 2), Fraction(1), Fraction(1)])
    assert bounded((1.0, 0.0, 0.0), all_capped) == (5000, 2500, 2500)


def test_the_first_arm_wins_a_tie_for_a_slot():
    assert to_slots([1 / 3] * 3, [SLOTS] * 3) == (3334, 3333, 3333)
    assert to_slots([0.00005, 0.99995], [SLOTS, SLOTS]) == (1, 9999)
    assert to_shares((3334, 3333, 3333)) == (0.3334, 0.3333, 0.3333)


def test_a_new_ceiling_holds_at_once_and_counts_towards_the_change():
    capped = Bounds((0, 0, 0), (500, SLOTS, SLOTS), largest_change=1000)
    assert bounded((0.0, 0.0, 1.0), capped, (2000, 4000, 4000)) == (500, 4000, 5500)
    assert bounded((0.0, 0.0, 1.0), capped, (1000, 4500, 4500)) == (450, 4050, 5500)


@pytest.mark.parametrize("weights", [(0.5, 0.4), (0.6, 0.5), (1.1, -0.1), (math.nan, 0.5), (1.0,)])
def test_what_is_no_probability_is_refused(weights):
    with pytest.raises(BanditError, match=r"sum to|1 weights for 2 arms"):
        bounded(weights, Bounds((0, 0), (SLOTS, SLOTS)))


@pytest.mark.parametrize(
    ("floors", "ceilings", "options", "sentence"),
    [
        (["0.4"] * 3, ["1"] * 3, {}, "The floors sum to 120%, more than 100%"),
        (["0"] * 3, ["0.3"] * 3, {}, "The ceilings sum to 90%, less than 100%"),
        (["0", "0.2"], ["1", "0.1"], {}, "Arm 2 has a floor of 20% and a ceiling of 10%"),
        (["0", "0"], ["1", "1.5"], {}, "the ceiling at most 100%"),
        (["-0.1", "0"], ["1", "1"], {}, "Arm 1 has a floor of -10%"),
        (["0"], ["1", "1"], {}, "a floor and a ceiling for each arm"),
        ([], [], {}, "at least one arm"),
        (["0"], ["1"], {"largest_change": Fraction(1, 100_000)}, "The largest change is 0%"),
        (["0"], ["1"], {"burn_in": -1.0}, "The burn-in is -1.0 decisions"),
        (["0"], ["1"], {"burn_in": math.nan}, "it must be zero or more"),
    ],
)
def test_impossible_bounds_are_refused(floors, ceilings, options, sentence):
    with pytest.raises(BanditError) as refusal:
        make_bounds([Fraction(each) for each in floors], [Fraction(each) for each in ceilings], **options)
    assert sentence in str(refusal.value)


def test_floors_are_rounded_up_and_ceilings_down():
    third = Fraction(1, 3)
    bounds = make_bounds([third, Fraction(0)], [Fraction(1), Fraction(2, 3)], largest_change=third, burn_in=20)
    assert bounds == ((3334, 0), (10000, 6666), 3333, 20)
