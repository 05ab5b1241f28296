"""What commands make of a document, and what they refuse."""

from dataclasses import replace
from fractions import Fraction
from operator import ne

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from router.assignment import BUCKETS
from router.commands import Declare, Shift, apply
from router.document import Document, parse_spec, to_dict
from router.errors import Rejected
from router.slots import counts, owners


def percent(**shares: float | str) -> dict[str, Fraction]:
    return {arm: Fraction(str(share)) / 100 for arm, share in shares.items()}


def moved(before: Document, after: Document) -> int:
    """Slots whose owner differs, by the name of the arm."""
    index = {arm: number for number, arm in enumerate({**before.slots, **after.slots})}
    return sum(map(ne, owners(before.slots, index), owners(after.slots, index)))


def test_a_first_declaration_is_version_one(declared):
    document = declared(a="90%", b="10%")
    assert document.version == 1
    assert document.slots == {"a": ((0, 9000),), "b": ((9000, 1000),)}


def test_a_shift_gives_the_named_arm_its_share_and_the_rest_in_proportion(declared):
    after = apply(declared(a="60%", b="30%", c="10%"), Shift(percent(c=40)))
    # 60 % is left for 60:30, so a gets 60 * 60/90 = 40 and b 60 * 30/90 = 20
    assert after.spec.split == {"a": 4000, "b": 2000, "c": 4000}
    assert counts(after.slots) == after.spec.split
    assert after.version == 2


@pytest.mark.parametrize(
    ("before", "weights", "after"),
    [
        ({"a": "90%", "b": "10%"}, {"b": 20}, [8000, 2000]),
        ({"a": "90%", "b": "10%"}, {"b": 0}, [10_000, 0]),
        ({"a": "90%", "b": "10%"}, {"b": 100}, [0, 10_000]),
        ({"a": "100%", "b": "0%"}, {"a": 90}, [9000, 1000]),  # one arm is left: it has the rest, whatever it had
        ({"a": "50%", "b": "50%"}, {"a": 30, "b": 70}, [3000, 7000]),
        ({"a": "50%", "b": "30%", "c": "20%"}, {"a": 10, "b": 20}, [1000, 2000, 7000]),
        ({"a": "60%", "b": "40%", "c": "0%"}, {"c": 0.01}, [5999, 4000, 1]),  # 5999.4 and 3999.6
        ({"a": "100%"}, {"a": 100}, [10_000]),
    ],
)
def test_shifts(declared, before, weights, after):
    assert list(apply(declared(**before), Shift(percent(**weights))).spec.split.values()) == after


@given(
    st.lists(st.integers(1, 100), min_size=2, max_size=6),
    st.integers(0, BUCKETS - 1),
)
@settings(deadline=None, max_examples=60)
def test_a_shift_is_exact_for_whole_slots_and_within_one_slot_for_the_rest(parts, share):
    arms = {f"a{number}": "m:1" for number in range(len(parts))}
    total = sum(parts)
    split = {arm: str(round(part / total, 12)) for arm, part in zip(arms, parts, strict=True)}
    before = apply(None, Declare(parse_spec({"route": "r", "arms": arms, "split": split})))
    old, rest = before.spec.split, BUCKETS - share
    assume(old["a0"] < BUCKETS)
    new = apply(before, Shift({"a0": Fraction(share, BUCKETS)})).spec.split
    assert new["a0"] == share
    for arm in list(arms)[1:]:
        assert abs(new[arm] - Fraction(old[arm] * rest, BUCKETS - old["a0"])) < 1


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({}, "Name at least one arm and its weight"),
        ({"z": 10}, "Route r has no arm 'z'; its arms are a, b, c"),
        ({"a": 60, "b": 50}, "The weights sum to 110%; they must not exceed 100%"),
        ({"a": 30, "b": 30, "c": 30}, "The weights sum to 90%; they must sum to 100%"),
        ({"a": 50}, "50% is left, and no other arm has traffic"),
        ({"b": -10}, "The weight of arm b is negative"),
        ({"a": 110, "b": -10}, "The weight of arm b is negative"),
        ({"a": 50, "b": 60, "c": -10}, "The weight of arm c is negative"),
        ({"a": "50.001", "b": 50}, r"The weights sum to 100\.001%; they must not exceed 100%"),
    ],
)
def test_a_refused_shift_says_why_and_changes_nothing(declared, weights, words):
    document = declared(a="100%", b="0%", c="0%")
    before = to_dict(document)
    with pytest.raises(Rejected, match=words):
        apply(document, Shift(percent(**weights)))
    assert to_dict(document) == before


def test_a_shift_of_all_arms_forgives_as_much_rounding_as_a_declaration(declared):
    thirds = declared(a="33.333%", b="33.333%", c="33.333%").spec.split
    after = apply(declared(a="50%", b="50%", c="0%"), Shift(percent(a="33.333", b="33.333", c="33.333")))
    assert after.spec.split == thirds == {"a": 3334, "b": 3333, "c": 3333}


def test_a_route_that_was_never_declared_cannot_be_shifted():
    with pytest.raises(Rejected, match="There is no such route yet; declare it first"):
        apply(None, Shift(percent(a=10)))


def test_declaring_again_moves_as_little_as_the_weights_allow(declared):
    before = declared(a="25%", b="25%", c="25%", d="25%")
    after = apply(before, Declare(declared(a="40%", b="25%", c="25%", d="10%").spec))
    assert after.version == 2
    assert moved(before, after) == 1500  # d gives 2500 - 1000; ranges laid out anew would move 4490


def test_declaring_the_same_again_moves_nothing(declared):
    before = apply(declared(a="90%", b="10%"), Shift(percent(b=30)))
    after = apply(before, Declare(before.spec))
    assert after == replace(before, version=3)


def test_an_arm_that_is_dropped_leaves_its_slots_to_the_new_one(declared):
    before = declared(a="50%", b="30%", c="20%")
    after = apply(before, Declare(declared(a="50%", c="20%", d="30%").spec))
    assert after.slots == {"a": ((0, 5000),), "c": ((8000, 2000),), "d": ((5000, 3000),)}
    assert moved(before, after) == 3000


def test_a_declaration_of_another_route_is_refused(declared):
    document = declared(a="100%")
    with pytest.raises(Rejected, match="The document is of route r, the declaration of route other"):
        apply(document, Declare(replace(document.spec, route="other")))


def test_a_shift_there_and_back_gives_every_unit_its_arm_back(declared):
    first = declared(a="95%", b="5%")
    there = apply(first, Shift(percent(b=10)))
    back = apply(there, Shift(percent(b=5)))
    assert (moved(first, there), moved(there, back), moved(first, back)) == (500, 500, 0)
