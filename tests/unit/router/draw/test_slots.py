"""The slot table: what moves, what stays, and what comes back."""

from fractions import Fraction
from itertools import pairwise
from operator import ne

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from router.draw.assignment import BUCKETS
from router.draw.slots import SlotTable, allocate, counts, owners, quantise, reallocate
from router.errors import Corrupt, Rejected

ARMS = ("a", "b", "c", "d", "e")
INDEX = {arm: position for position, arm in enumerate(ARMS)}


@st.composite
def splits(draw: st.DrawFn, least: int = 1, most: int = len(ARMS)) -> dict[str, int]:
    """Draw slots that sum to 10,000, over arms in any order. Some may be empty."""
    arms = draw(st.permutations(ARMS))[: draw(st.integers(least, most))]
    size = len(arms) - 1
    cuts = sorted(draw(st.lists(st.integers(0, BUCKETS), min_size=size, max_size=size)))
    return {arm: high - low for arm, (low, high) in zip(arms, pairwise([0, *cuts, BUCKETS]), strict=True)}


@st.composite
def tables(draw: st.DrawFn) -> SlotTable:
    """Draw a table with a history of up to four changes."""
    table = allocate(draw(splits()))
    for split in draw(st.lists(splits(), max_size=3)):
        table = reallocate(table, split)
    return table


def layout(table: SlotTable) -> bytes:
    return owners(table, INDEX)


def moved(before: SlotTable, after: SlotTable) -> int:
    return sum(map(ne, layout(before), layout(after)))


@given(splits())
@settings(max_examples=50)
def test_a_first_table_holds_contiguous_ranges_in_the_order_of_the_arms(split):
    assert layout(allocate(split)) == b"".join(bytes([INDEX[arm]]) * slots for arm, slots in split.items())


@given(tables(), splits())
@settings(max_examples=50)
def test_a_new_table_gives_every_arm_its_slots(table, split):
    after = reallocate(table, split)
    assert counts(after) == split
    layout(after)  # every bucket has exactly one owner, or this raises


@given(tables(), splits())
@settings(max_examples=50)
def test_the_share_that_moves_is_the_total_variation_distance(table, split):
    before = counts(table)
    distance = sum(abs(split.get(arm, 0) - before.get(arm, 0)) for arm in ARMS) // 2
    assert moved(table, reallocate(table, split)) == distance


@given(tables(), splits())
@settings(max_examples=50)
def test_no_unit_leaves_an_arm_whose_share_grows_or_stays(table, split):
    old, new = layout(table), layout(reallocate(table, split))
    kept = {INDEX[arm] for arm, slots in counts(table).items() if split.get(arm, 0) >= slots}
    assert all(now == was for was, now in zip(old, new, strict=True) if was in kept)


@given(tables(), splits())
@settings(max_examples=50)
def test_a_table_is_not_changed_in_place(table, split):
    copy = {arm: tuple(runs) for arm, runs in table.items()}
    reallocate(table, split)
    assert table == copy


def test_the_published_example_moves_as_little_as_is_possible():
    before = allocate({"a": 2500, "b": 2500, "c": 2500, "d": 2500})
    after = reallocate(before, {"a": 4000, "b": 2500, "c": 2500, "d": 1000})
    assert moved(before, after) == 1500  # d gives 2500 - 1000, a takes them


def test_a_growing_canary_keeps_all_its_units():
    before = allocate({"a": 9500, "b": 500})
    after = reallocate(before, {"a": 9000, "b": 1000})
    assert moved(before, after) == 500
    assert all(now == 1 for was, now in zip(layout(before), layout(after), strict=True) if was == 1)


@given(st.integers(0, BUCKETS), st.lists(st.integers(0, BUCKETS), max_size=5), st.lists(st.integers(0, BUCKETS)))
@settings(max_examples=50)
def test_a_ramp_of_two_arms_comes_back_to_the_same_owners_by_whatever_steps(start, up, down):
    """The ramps are 5 % -> 10 % -> 5 %, and longer ones."""
    steps = [step for step in (*sorted(up), *sorted(down, reverse=True)) if step >= start]
    first = table = allocate({"a": BUCKETS - start, "b": start})
    for step in (*steps, start):
        table = reallocate(table, {"a": BUCKETS - step, "b": step})
    assert layout(table) == layout(first)


@given(st.integers(0, 4), splits(least=2), st.lists(st.integers(0, BUCKETS), min_size=1, max_size=5))
@settings(max_examples=50)
def test_a_ramp_of_many_arms_that_retraces_its_steps_comes_back_to_the_same_owners(which, split, shares):
    canary = list(split)[which % len(split)]
    assume(split[canary] < BUCKETS)
    ramp = [split, *(_with_share(split, canary, share) for share in sorted(shares) if share >= split[canary])]
    tables = [allocate(split)]
    for step in ramp[1:]:
        tables.append(reallocate(tables[-1], step))
    table = tables[-1]
    for step, on_the_way_up in reversed(list(zip(ramp, tables, strict=True))):
        table = reallocate(table, step)
        assert layout(table) == layout(on_the_way_up)


def _with_share(split: dict[str, int], canary: str, share: int) -> dict[str, int]:
    """Return the slots with the canary at `share` and the others in proportion."""
    rest = BUCKETS - split[canary]
    others = {arm: Fraction(slots * (BUCKETS - share), rest * BUCKETS) for arm, slots in split.items() if arm != canary}
    return quantise({arm: others.get(arm, Fraction(share, BUCKETS)) for arm in split})


@pytest.mark.parametrize(
    ("first", "steps"),
    [
        pytest.param(
            {"a": 5000, "b": 4500, "c": 500},
            # c 5 % -> 10 % -> 20 % -> 10 % -> 5 %; the others in proportion to 50:45
            [
                {"a": 4737, "b": 4263, "c": 1000},
                {"a": 4211, "b": 3789, "c": 2000},
                {"a": 4737, "b": 4263, "c": 1000},
                {"a": 5000, "b": 4500, "c": 500},
            ],
            id="down by the steps it went up",
        ),
        pytest.param(
            {"b": 4500, "a": 4500, "c": 1000},
            [
                {"b": 4000, "a": 4000, "c": 2000},
                {"b": 4500, "a": 4500, "c": 1000},
            ],
            id="arms in the order of their first declaration",
        ),
    ],
)
def test_a_ramp_of_three_arms_that_retraces_its_steps_comes_back_to_the_same_owners(first, steps):
    table = allocate(first)
    for step in steps:
        table = reallocate(table, step)
    assert layout(table) == layout(allocate(first))


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(
            # c 5 % -> 20 % -> 10 % -> 5 %; the others in proportion to 50:45
            [
                {"a": 5000, "b": 4500, "c": 500},
                {"a": 4211, "b": 3789, "c": 2000},
                {"a": 4737, "b": 4263, "c": 1000},
                {"a": 5000, "b": 4500, "c": 500},
            ],
            id="down by other steps than up",
        ),
        pytest.param(
            [
                {"b": 4500, "a": 4500, "c": 1000},
                {"a": 4000, "b": 4000, "c": 2000},  # the arms are in another order than the first time
                {"a": 4500, "b": 4500, "c": 1000},
            ],
            id="arms declared in another order",
        ),
    ],
)
def test_a_ramp_that_goes_back_another_way_has_its_weights_and_moves_the_least(steps):
    first = table = allocate(steps[0])
    for before, step in pairwise(steps):
        old, table = table, reallocate(table, step)
        assert counts(table) == step
        assert moved(old, table) == sum(abs(step[arm] - before[arm]) for arm in step) // 2
    # The arm that ramped has exactly its first slots again. The others may have exchanged some of theirs.
    assert [owner == INDEX["c"] for owner in layout(table)] == [owner == INDEX["c"] for owner in layout(first)]


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=8).filter(any))
@settings(max_examples=50)
def test_quantising_is_by_largest_remainder(parts):
    exact = {str(arm): Fraction(part * BUCKETS, sum(parts)) for arm, part in enumerate(parts)}
    slots = quantise({arm: share / BUCKETS for arm, share in exact.items()})
    assert list(slots) == list(exact)
    assert sum(slots.values()) == BUCKETS
    remainders = {arm: share - int(share) for arm, share in exact.items()}
    up = [remainders[arm] for arm in slots if slots[arm] == int(exact[arm]) + 1]
    down = [remainders[arm] for arm in slots if slots[arm] == int(exact[arm])]
    assert len(up) + len(down) == len(slots)
    assert min(up, default=1) >= max(down, default=0)


def test_a_tie_of_remainders_goes_to_the_arm_named_first():
    assert quantise({"a": Fraction(1, 3), "b": Fraction(1, 3), "c": Fraction(1, 3)}) == {
        "a": 3334,
        "b": 3333,
        "c": 3333,
    }


def test_weights_that_do_not_sum_to_one_are_refused_with_their_sum():
    with pytest.raises(Rejected, match=r"sum to 97%; they must sum to 100%.*a=90%, b=7%"):
        quantise({"a": Fraction(90, 100), "b": Fraction(7, 100)})


def test_half_a_slot_of_rounding_is_forgiven_and_no_more():
    half = Fraction(1, 2 * BUCKETS)
    assert quantise({"a": Fraction(1, 2), "b": Fraction(1, 2) - half}) == {"a": 5000, "b": 5000}
    with pytest.raises(Rejected, match=r"sum to 99\.99%"):
        quantise({"a": Fraction(1, 2), "b": Fraction(1, 2) - half - Fraction(1, 10**9)})
    with pytest.raises(Rejected, match=r"sum to 100\.01%"):
        quantise({"a": Fraction(1, 2), "b": Fraction(1, 2) + half + Fraction(1, 10**9)})


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"a": ((0, 6000),), "b": ((5999, 4001),)}, r"arm b .* \(5999, 4001\)"),
        ({"a": ((0, 5000),), "b": ((5000, 4999),)}, "covers 9999 of 10000"),
        ({"a": ()}, "covers 0 of 10000"),
        ({"a": ((0, 10_001),)}, r"arm a .* \(0, 10001\)"),
        ({"a": ((-1, 10_000),)}, r"\(-1, 10000\)"),
        ({"a": ((0, 10_000), (10_000, 0))}, r"\(10000, 0\)"),
        ({"a": ((0, 10_000),), "b": ((5, -5),)}, r"\(5, -5\)"),
    ],
)
def test_a_table_that_overlaps_or_leaves_a_gap_is_corrupt(table, words):
    with pytest.raises(Corrupt, match=words):
        owners(table, INDEX)
