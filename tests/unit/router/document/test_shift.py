"""How weights move between the arms of a split."""

from fractions import Fraction
from operator import ne

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from router.document.apply import apply
from router.document.commands import Abort, Declare, Shift
from router.document.document import Document
from router.document.stored import from_dict, to_dict
from router.draw.assignment import BUCKETS
from router.draw.slots import counts, owners
from router.errors import Rejected
from router.spec.parse import parse_spec
from router.spec.spec import Limits
from tests.unit.router.support import T0, V2


def percent(**shares: float | str) -> dict[str, Fraction]:
    return {arm: Fraction(str(share)) / 100 for arm, share in shares.items()}


def moved(before: Document, after: Document) -> int:
    """Count the slots whose owner differs, by the name of the arm."""
    index = {arm: number for number, arm in enumerate({**before.slots, **after.slots})}
    return sum(map(ne, owners(before.slots, index), owners(after.slots, index)))


def test_a_shift_gives_the_named_arm_its_share_and_the_rest_in_proportion(declared):
    after = apply(declared(a="60%", b="30%", c="10%"), Shift(percent(c=40)))
    # 60 % is left for 60:30, so a gets 60 * 60/90 = 40 and b 60 * 30/90 = 20
    assert after.spec.split == after.weights == {"a": 4000, "b": 2000, "c": 4000}
    assert counts(after.slots) == after.spec.split
    assert after.version == 2


@pytest.mark.parametrize(
    ("before", "weights", "after"),
    [
        ({"a": "90%", "b": "10%"}, {"b": 20}, [8000, 2000]),
        ({"a": "90%", "b": "10%"}, {"b": 0}, [10_000, 0]),
        ({"a": "90%", "b": "10%"}, {"b": 100}, [0, 10_000]),
        ({"a": "100%", "b": "0%"}, {"a": 90}, [9000, 1000]),  # the only arm left gets the rest, even if it had none
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
@settings(max_examples=60)
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
        ({"b": 41, "a": 59}, "Arm b would get 41%, but its limits are 0% to 40%"),
    ],
)
def test_a_refused_shift_says_why_and_changes_nothing(declared, weights, words):
    document = declared(a="100%", b="0%", c="0%", limits={"b": {"ceiling": "40%"}})
    before = to_dict(document)
    with pytest.raises(Rejected, match=words):
        apply(document, Shift(percent(**weights)))
    assert to_dict(document) == before


def test_a_shift_of_all_arms_forgives_as_much_rounding_as_a_declaration(declared):
    thirds = declared(a="33.333%", b="33.333%", c="33.333%").spec.split
    after = apply(declared(a="50%", b="50%", c="0%"), Shift(percent(a="33.333", b="33.333", c="33.333")))
    assert after.spec.split == thirds == {"a": 3334, "b": 3333, "c": 3333}


def test_a_shift_there_and_back_gives_every_unit_its_arm_back(declared):
    first = declared(a="95%", b="5%")
    there = apply(first, Shift(percent(b=10)))
    back = apply(there, Shift(percent(b=5)))
    assert (moved(first, there), moved(there, back), moved(first, back)) == (500, 500, 0)


def abort(arm: str) -> Abort:
    return Abort(T0, "It fails.", arm=arm, bound=V2)


@pytest.mark.parametrize(
    ("before", "more", "after"),
    [
        ({"a": "60%", "b": "10%", "c": "30%"}, {}, {"a": 6667, "b": 0, "c": 3333}),  # 60:30
        ({"a": "0%", "b": "100%"}, {}, {"a": 10_000, "b": 0}),  # the only other arm
        ({"a": "0%", "b": "100%", "c": "0%"}, {"fallback": "c"}, {"a": 0, "b": 0, "c": 10_000}),  # the trusted arm
        ({"a": "90%", "b": "5%", "c": "5%"}, {"limits": {"c": {"ceiling": "5%"}}}, {"a": 9500, "b": 0, "c": 500}),
        (
            {"a": "0%", "b": "95%", "c": "5%"},  # c is at its ceiling and a has none, so a gets it as the trusted arm
            {"limits": {"c": {"ceiling": "5%"}}, "fallback": "a"},
            {"a": 9500, "b": 0, "c": 500},
        ),
        (
            {"a": "40%", "b": "40%", "c": "10%", "d": "10%"},  # a goes to its 50 %, c and d share 50 %
            {"limits": {"a": {"ceiling": "50%"}}},
            {"a": 5000, "b": 0, "c": 2500, "d": 2500},
        ),
        (
            {"a": "50%", "b": "50%"},
            {"limits": {"a": {"ceiling": "50%"}}},
            {"a": 10_000, "b": 0},
        ),  # it must go somewhere
    ],
)
def test_what_is_taken_from_an_arm_goes_to_the_others_up_to_their_ceilings(declared, before, more, after):
    document = apply(declared(**before, **more), abort("b"))
    assert document.weights == document.spec.split == after
    assert from_dict(to_dict(document)) == document
    assert [each.version for each in document.quarantine] == ["2"]


@pytest.mark.parametrize(
    ("before", "more", "words"),
    [
        ({"b": "100%"}, {}, "Arm b is the only arm of route r; declare another one first"),
        (
            {"a": "0%", "b": "100%", "c": "0%"},
            {},
            "No other arm may have the traffic of arm b, because they have none now",
        ),
        ({"a": "100%", "b": "0%"}, {}, "Arm b has no traffic that could be taken from it"),
        (
            {"a": "50%", "b": "50%"},
            {"fallback": "b", "holdout": "5%"},
            "Arm b answers the requests that take no part in the draw; declare another fallback first",
        ),
    ],
)
def test_an_arm_whose_traffic_no_arm_can_take_is_not_aborted(declared, before, more, words):
    document = declared(**before, **more)
    with pytest.raises(Rejected, match=words):
        apply(document, abort("b"))


def test_an_arm_that_is_aborted_loses_its_floor_but_not_its_ceiling(declared):
    limits = {"b": {"floor": "5%", "ceiling": "20%"}}
    document = apply(declared(a="90%", b="10%", limits=limits), abort("b"))
    assert document.spec.limits == {"b": Limits(0, 2000)}
    assert from_dict(to_dict(document)) == document
